"""Asks for each line of standard input, decodes what comes, and says what it was.

A line is JSON: id, scheme, target, accept (a list of lines). So is each line that is printed.
"""
import hashlib
import http.client
import json
import ssl
import sys
import zlib

import brotli
import zstandard

PLAIN, SECURE, AUTHORITY = sys.argv[1:4]
CONTEXT = ssl.create_default_context(cafile=AUTHORITY)


def connect(scheme):
    if scheme == "https":
        return http.client.HTTPSConnection(SECURE, context=CONTEXT, timeout=30)
    return http.client.HTTPConnection(PLAIN, timeout=30)


def decode(coding, body):
    if coding is None:
        return body
    if coding == "br":
        return brotli.decompress(body)
    if coding == "gzip":
        decoder = zlib.decompressobj(31)
    elif coding == "zstd":
        decoder = zstandard.ZstdDecompressor().decompressobj()
    else:
        raise ValueError(f"{coding}?")
    text = decoder.decompress(body)
    if not decoder.eof or decoder.unused_data:
        raise ValueError(f"{coding} does not end properly")
    return text


def ask(connection, job, known=None):
    connection.putrequest("GET", job["target"], skip_accept_encoding=True)
    for line in job["accept"]:
        connection.putheader("Accept-Encoding", line)
    if known:
        connection.putheader("If-None-Match", known)
    connection.endheaders()
    answer = connection.getresponse()
    return answer, answer.read()


connections = {}
for line in sys.stdin:
    job = json.loads(line)
    scheme = job["scheme"]
    said = {"id": job["id"]}
    try:
        connection = connections.setdefault(scheme, connect(scheme))
        answer, body = ask(connection, job)
        said["status"] = answer.status
        for name in ["content-encoding", "vary", "etag", "content-length"]:
            said[name] = answer.headers.get_all(name)
        said["raw"] = hashlib.sha256(body).hexdigest()
        text = decode(answer.headers.get("content-encoding"), body)
        said["text"] = hashlib.sha256(text).hexdigest()
        answer, body = ask(connection, job, answer.headers.get("etag"))
        said["again"] = answer.status
        said["again-etag"] = answer.headers.get("etag")
    except Exception as error:
        said["error"] = f"{type(error).__name__}: {error}"
        connections.pop(scheme).close()
    print(json.dumps(said))
