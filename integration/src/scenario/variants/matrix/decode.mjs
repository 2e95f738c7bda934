// Asks for each line of standard input over HTTP/2, decodes what comes, and says what it was.
//
// A line is JSON: id, scheme, target, accept (a list of lines). So is each line that is printed.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import zlib from 'node:zlib';

const [plain, secure, authority] = process.argv.slice(2);
const open = {
  http: () => http2.connect(`http://${plain}`),
  https: () => http2.connect(`https://${secure}`, { ca: readFileSync(authority) }),
};
const decoders = {
  br: zlib.brotliDecompressSync,
  gzip: zlib.gunzipSync,
  zstd: zlib.zstdDecompressSync, // from Node 22.15 on
};
const hash = bytes => createHash('sha256').update(bytes).digest('hex');
const sessions = {};

function ask(job) {
  return new Promise((done, failed) => {
    let session = sessions[job.scheme];
    if (!session || session.closed || session.destroyed) {
      session = sessions[job.scheme] = open[job.scheme]();
      session.on('error', failed);
    }
    const fields = { ':path': job.target };
    if (job.accept.length) fields['accept-encoding'] = job.accept;
    const request = session.request(fields);
    const pieces = [];
    let head;
    request.setTimeout(30000, () => failed(new Error('no answer')));
    request.on('response', fields => { head = fields; });
    request.on('data', piece => pieces.push(piece));
    request.on('error', failed);
    request.on('end', () => done([head, Buffer.concat(pieces)]));
    request.end();
  });
}

for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const job = JSON.parse(line);
  const said = { id: job.id };
  try {
    const [head, body] = await ask(job);
    said.status = head[':status'];
    for (const name of ['content-encoding', 'vary', 'etag', 'content-length']) {
      said[name] = head[name] === undefined ? null : [head[name]].flat();
    }
    said.raw = hash(body);
    const coding = head['content-encoding'];
    const decoder = coding ? decoders[coding] : bytes => bytes;
    if (decoder) said.text = hash(decoder(body));
  } catch (error) {
    said.error = `${error}`;
  }
  console.log(JSON.stringify(said));
}
for (const session of Object.values(sessions)) session.close();
