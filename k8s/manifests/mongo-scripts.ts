/**
 * What makes a cluster of MongoDB's processes. Every script may run at any time, any number of times; what stands already
 * stays. They run in mongosh and sh of MongoDB's image, and were not tried on a MongoDB: there is none in the tests.
 */

/**
 * Starts mongod or mongos. The key by which members trust each other must be a file that only their user may read, which no
 * mounted Secret is; /tmp outlives the container, with a copy of before that cannot be written over. The first pod of a replica
 * set sees to it that there is one, in the background, until it is done.
 */
const START = `#!/bin/sh
set -eu
rm -f /tmp/keyfile
cp /etc/mongo/keyfile /tmp/keyfile
chmod 400 /tmp/keyfile
case "\${REPLICA_SET:-}:\${HOSTNAME##*-}" in
  :*) ;;
  *:0) (until mongosh --quiet --nodb /etc/eis-scripts/replica-set.js; do sleep 3; done) & ;;
esac
exec "$@" --keyFile /tmp/keyfile
`;

/** Initiates the replica set and makes the administrator (while there is no user, a process beside mongod may); later, adds pods that are new. */
const REPLICA_SET = `const { REPLICA_SET: set, MEMBERS, IS_CONFIG_SERVER, MONGO_ROOT_PASSWORD: password } = process.env;
const hosts = MEMBERS.split(',');
const local = '127.0.0.1:27017/admin?directConnection=true';
const member = (host, _id) => ({ _id, host, ...(host === hosts[0] ? { priority: 2 } : {}) });

function asRoot(address) {
  return new Mongo('mongodb://root:' + encodeURIComponent(password) + '@' + address).getDB('admin');
}

function tryAsRoot() {
  try {
    const admin = asRoot(local);
    admin.runCommand({ connectionStatus: 1 });
    return admin;
  } catch (error) {
    if (error.code === 18) return undefined; // AuthenticationFailed: there is no such user yet
    throw error;
  }
}

function begin() {
  const admin = new Mongo('mongodb://' + local).getDB('admin');
  try {
    admin.adminCommand({ replSetInitiate: { _id: set, ...(IS_CONFIG_SERVER === 'true' ? { configsvr: true } : {}), members: hosts.map(member) } });
  } catch (error) {
    if (error.code !== 23) throw error; // AlreadyInitialized
  }
  for (let tries = 0; !admin.hello().isWritablePrimary; tries++) {
    if (tries === 120) throw new Error('No primary here after two minutes.');
    sleep(1000);
  }
  admin.createUser({ user: 'root', pwd: password, roles: ['root'] });
}

function addNew() {
  const admin = asRoot(hosts.join(',') + '/admin?replicaSet=' + set);
  for (const host of hosts) {
    const { config } = admin.adminCommand({ replSetGetConfig: 1 });
    if (config.members.some((known) => known.host === host)) continue;
    config.members.push(member(host, Math.max(...config.members.map(({ _id }) => _id)) + 1));
    config.version++;
    admin.adminCommand({ replSetReconfig: config }); // One voter at a time, as MongoDB asks.
    print('Added ' + host + ' to ' + set + '.');
  }
}

if (tryAsRoot() === undefined) begin();
addNew();
`;

/** Makes the user that the store is used by, of `admin`; its password is the one that is given now. */
const STORE_USER = `if (admin.getRole('eisSharding') === null) {
  admin.createRole({ role: 'eisSharding', privileges: [{ resource: { db: 'eis', collection: '' }, actions: ['enableSharding'] }], roles: [] });
}
const roles = [{ role: 'readWrite', db: 'eis' }, { role: 'dbAdmin', db: 'eis' }, { role: 'eisSharding', db: 'admin' }];
if (admin.getUser('eis') === null) admin.createUser({ user: 'eis', pwd: MONGO_PASSWORD, roles });
else admin.updateUser('eis', { pwd: MONGO_PASSWORD, roles });
`;

/** Through a router: adds the shards that are new, and makes the user that the store is used by. */
const JOIN_SHARDS = `const { ROUTER, SHARDS, MONGO_ROOT_PASSWORD, MONGO_PASSWORD } = process.env;
const admin = new Mongo('mongodb://root:' + encodeURIComponent(MONGO_ROOT_PASSWORD) + '@' + ROUTER + ':27017/admin').getDB('admin');
const known = admin.adminCommand({ listShards: 1 }).shards.map(({ _id }) => _id);
for (const shard of SHARDS.split(' ')) {
  const name = shard.split('/')[0];
  if (known.includes(name)) continue;
  admin.adminCommand({ addShard: shard, name });
  print('Added ' + name + '.');
}
${STORE_USER}`;

/** On a replica set that stands alone: makes the user of the store. */
const LONE_USER = `const { MEMBERS, REPLICA_SET, MONGO_ROOT_PASSWORD, MONGO_PASSWORD } = process.env;
const admin = new Mongo('mongodb://root:' + encodeURIComponent(MONGO_ROOT_PASSWORD) + '@' + MEMBERS + '/admin?replicaSet=' + REPLICA_SET).getDB('admin');
${STORE_USER}`;

export const MONGO_SCRIPTS: Readonly<Record<string, string>> = { 'start.sh': START, 'replica-set.js': REPLICA_SET, 'join-shards.js': JOIN_SHARDS };

/** Of a replica set that stands alone. */
export const LONE_MONGO_SCRIPTS: Readonly<Record<string, string>> = { 'start.sh': START, 'replica-set.js': REPLICA_SET, 'store-user.js': LONE_USER };
