/**
 * Identity tokens from Google, by Application Default Credentials: a mounted key (GOOGLE_APPLICATION_CREDENTIALS), the
 * metadata server (Google's own machines, GKE's workload identity), or workload identity federation, by which OpenShift's
 * own tokens stand for a service account.
 */
import { BaseExternalAccountClient, Compute, GoogleAuth, Impersonated, type AuthClient, type IdTokenProvider } from 'google-auth-library';

/** The project plays no part; one that is not named is asked for, with credentials that may not say it. */
const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform', projectId: 'any' });

/**
 * A new token for an audience.
 *
 * @throws what goes wrong, in the library's words; it may hold credentials, and is for nobody's log
 */
export async function fetchGoogleIdentityToken(audience: string): Promise<string> {
  return (await findProvider()).fetchIdToken(audience);
}

async function findProvider(): Promise<IdTokenProvider> {
  const client = await auth.getClient().catch(orMetadataServer);
  if (client instanceof BaseExternalAccountClient) return impersonated(client);
  if ('fetchIdToken' in client) return client;
  throw new Error('these credentials cannot have identity tokens; use the key of a service account, the metadata server, or workload identity federation with a service account');
}

/** The library looks for the metadata server once, and never again where it did not answer then: so it is asked itself. */
function orMetadataServer(thrown: Error): AuthClient {
  if (thrown.message.startsWith('Could not load the default credentials')) return new Compute();
  throw thrown;
}

/** A federated identity has no identity tokens of its own: the service account that it stands for asks for its own. */
function impersonated(sourceClient: BaseExternalAccountClient): IdTokenProvider {
  const targetPrincipal = sourceClient.getServiceAccountEmail();
  if (targetPrincipal === null) throw new Error('the credentials of workload identity federation name no service account ("service_account_impersonation_url")');
  return new Impersonated({ sourceClient, targetPrincipal });
}
