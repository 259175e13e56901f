import vm from 'node:vm';
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { MONGO_SCRIPTS } from '../../k8s/manifests/mongo-scripts.js';

/**
 * As much of a cluster as the scripts ask for, in mongosh's words. It proves what they do in which order and that they may run
 * again; what MongoDB makes of it was not tried.
 */
class FakeMongo {
  readonly done: string[] = [];
  members: { _id: number; host: string }[] = [];
  shards: string[] = [];
  readonly users = new Map<string, string>();
  readonly roles = new Set<string>();

  connect(uri: string) {
    const [, user] = /^mongodb:\/\/(?:(\w+):[^@]*@)?/.exec(uri)!;
    if (user !== undefined && !this.users.has(user)) throw Object.assign(new Error('Authentication failed.'), { code: 18 });
    return { getDB: () => this.admin() };
  }

  admin() {
    return {
      hello: () => ({ isWritablePrimary: this.members.length > 0 }),
      runCommand: () => ({ ok: 1 }),
      adminCommand: (command: Record<string, unknown>) => this.command(command),
      createUser: ({ user, pwd }: { user: string; pwd: string }) => this.note(`createUser ${user}`, () => this.users.set(user, pwd)),
      updateUser: (user: string, { pwd }: { pwd: string }) => this.users.set(user, pwd),
      getUser: (user: string) => (this.users.has(user) ? { user } : null),
      getRole: (role: string) => (this.roles.has(role) ? { role } : null),
      createRole: ({ role }: { role: string }) => this.note(`createRole ${role}`, () => this.roles.add(role)),
    };
  }

  command(command: Record<string, unknown>): unknown {
    if (command['replSetInitiate']) {
      if (this.members.length > 0) throw Object.assign(new Error('already initialized'), { code: 23 });
      const { members, configsvr } = command['replSetInitiate'] as { members: FakeMongo['members']; configsvr?: boolean };
      return this.note(`replSetInitiate ${members.length}${configsvr ? ' configsvr' : ''}`, () => (this.members = members));
    }
    if (command['replSetGetConfig']) return { config: { version: 1, members: structuredClone(this.members) } };
    if (command['replSetReconfig']) {
      const { members } = command['replSetReconfig'] as { members: FakeMongo['members'] };
      return this.note(`replSetReconfig +${members.length - this.members.length}`, () => (this.members = members));
    }
    if (command['listShards']) return { shards: this.shards.map((_id) => ({ _id })) };
    if (command['addShard']) return this.note(`addShard ${command['addShard'] as string}`, () => this.shards.push(command['name'] as string));
    throw new Error(`There is no ${Object.keys(command)[0]}.`);
  }

  note(what: string, change: () => unknown): void {
    change();
    this.done.push(what);
  }

  /** What a script does, with these variables. */
  run(script: string, env: Readonly<Record<string, string>>): string[] {
    const mongo = this; // eslint-disable-line @typescript-eslint/no-this-alias -- `new Mongo()` has a `this` of its own
    this.done.length = 0;
    const Mongo = function (uri: string) {
      return mongo.connect(uri);
    };
    vm.runInNewContext(MONGO_SCRIPTS[script]!, { Mongo, process: { env }, print: () => undefined, sleep: () => undefined, encodeURIComponent });
    return [...this.done];
  }
}

const SET = { REPLICA_SET: 'mongo-shard-0', MEMBERS: 'a:27017,b:27017,c:27017', IS_CONFIG_SERVER: 'false', MONGO_ROOT_PASSWORD: 'secret' };
const JOIN = { ROUTER: 'mongo-router', SHARDS: 's0/a:1,b:1 s1/c:1,d:1', MONGO_ROOT_PASSWORD: 'secret', MONGO_PASSWORD: 'word' };

describe('replica-set.js', () => {
  it('initiates a set and makes its administrator, and changes nothing when it runs again', () => {
    const mongo = new FakeMongo();
    expect(mongo.run('replica-set.js', SET)).toEqual(['replSetInitiate 3', 'createUser root']);
    expect(mongo.run('replica-set.js', SET)).toEqual([]);
    expect(new FakeMongo().run('replica-set.js', { ...SET, IS_CONFIG_SERVER: 'true' })[0]).toBe('replSetInitiate 3 configsvr');
  });

  it('goes on when it died after initiating', () => {
    const mongo = new FakeMongo();
    mongo.members = [{ _id: 0, host: 'a:27017' }, { _id: 1, host: 'b:27017' }, { _id: 2, host: 'c:27017' }];
    expect(mongo.run('replica-set.js', SET)).toEqual(['createUser root']);
  });

  it('adds members that are new one at a time, under ids of their own', () => {
    const mongo = new FakeMongo();
    mongo.run('replica-set.js', SET);
    expect(mongo.run('replica-set.js', { ...SET, MEMBERS: `${SET.MEMBERS},d:27017,e:27017` })).toEqual(['replSetReconfig +1', 'replSetReconfig +1']);
    expect(mongo.members.map(({ _id }) => _id)).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('join-shards.js', () => {
  it('adds shards and makes the user of the store, and only what is new when it runs again', () => {
    const mongo = new FakeMongo();
    mongo.users.set('root', 'secret');
    expect(mongo.run('join-shards.js', JOIN)).toEqual(['addShard s0/a:1,b:1', 'addShard s1/c:1,d:1', 'createRole eisSharding', 'createUser eis']);
    expect(mongo.run('join-shards.js', JOIN)).toEqual([]);
    expect(mongo.run('join-shards.js', { ...JOIN, SHARDS: `${JOIN.SHARDS} s2/e:1`, MONGO_PASSWORD: 'other' })).toEqual(['addShard s2/e:1']);
    expect(mongo.users.get('eis')).toBe('other');
  });
});

describe('start.sh', () => {
  it('is a script that a shell can read', () => {
    expect(() => execFileSync('sh', ['-n'], { input: MONGO_SCRIPTS['start.sh'], stdio: 'pipe' })).not.toThrow();
  });
});
