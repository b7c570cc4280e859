// Worker threads, a server and its clients, subprocesses, a cluster, and code that is compiled as it runs.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const [http, child, cluster, fs, crypto, zlib] = ['http', 'child_process', 'cluster', 'fs', 'crypto', 'zlib'].map(require);

const get = (url) => new Promise((ok, no) => http.get(url, { agent: false }, (r) => {
  let data = '';
  r.on('data', (d) => { data += d; });
  r.on('end', () => ok(data));
}).on('error', no));
const listening = (server) => new Promise((ok) => server.listen(0, '127.0.0.1', () => ok(server.address().port)));
const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2));

async function threads() {
  const answers = [1, 2, 3, 4].map((k) => new Promise((ok, no) => new Worker(__filename, { workerData: k }).on('message', ok).on('error', no)));
  console.log(await Promise.all(answers));
}

async function server() {
  const s = http.createServer((q, r) => r.end(q.url === '/big' ? 'x'.repeat(1e6) : `path ${q.url}`));
  const at = `http://127.0.0.1:${await listening(s)}/`;
  console.log((await Promise.all(Array.from({ length: 50 }, (_, i) => get(at + i)))).join(' '));
  console.log((await get(`${at}big`)).length);
  s.close();
}

async function processes() {
  console.log(child.execSync('echo sub; echo more').toString());
  const r = child.spawnSync('sh', ['-c', 'cat; exit 4'], { input: 'in' });
  console.log(r.status, r.stdout.toString(), child.spawnSync('/nonexistent').error.code);
  const sleeper = child.spawn('sleep', ['100']);
  sleeper.kill();
  console.log(await new Promise((ok) => sleeper.on('close', (...how) => ok(how))));
  const told = new Promise((ok) => process.on('SIGUSR2', ok));
  process.kill(process.pid, 'SIGUSR2');
  console.log(await told);
}

async function compute() {
  fs.writeFileSync('f', 'abc');
  console.log((await fs.promises.readFile('f')).toString(), fs.readdirSync('.'), fib(25));
  console.log(crypto.createHash('sha256').update('x').digest('hex'), zlib.gunzipSync(zlib.gzipSync('hello')).toString());
  console.log(JSON.parse(JSON.stringify(Array.from({ length: 5000 }, (_, i) => ({ i, a: [i] })))).length, /(\w+)\s(\w+)/.exec('hello world')[2]);
  const add = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0,
    10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
  console.log(new WebAssembly.Instance(new WebAssembly.Module(add)).exports.add(2, 40));
}

// Both workers share the port that the kernel chose.
async function workers() {
  const ends = [];
  let port;
  for (let i = 0; i < 2; i++) {
    const w = cluster.fork();
    ends.push(new Promise((ok) => w.on('exit', ok)));
    port = (await new Promise((ok) => w.on('listening', ok))).port;
  }
  console.log(await get(`http://127.0.0.1:${port}/`));
  Object.values(cluster.workers).forEach((w) => w.kill());
  await Promise.all(ends);
}

async function main() {
  for (const part of [threads, server, processes, compute, workers]) await part();
}

if (!isMainThread) {
  let sum = 0;
  for (let i = 0; i < 1e6; i++) sum = (sum + i * workerData) % 1000003;
  parentPort.postMessage(sum);
} else if (cluster.isWorker) {
  listening(http.createServer((q, r) => r.end('worker')));
} else {
  main();
}
