//! A browser comes by a new version of a script with the help of the old one that it has.

use std::process::{Child, Stdio};
use std::time::Duration;

use switchback_integration::{Authority, Deadline, Origin, Proxy, Reply, Tool, config, eventually};
use tempfile::TempDir;

use crate::dictionary::{filtered, script, version};

/// Has the old version of each script, and then asks for new ones until one is encoded against that. A page has no word in what it
/// asks for that a browser keeps; so each new one has a name of its own.
const PAGE: &str = r#"<!doctype html><script>
const pause = () => new Promise(done => setTimeout(done, 25));
const hex = bytes => [...new Uint8Array(bytes)].map(byte => byte.toString(16).padStart(2, '0')).join('');
const read = async coding => {
  await (await fetch(`/${coding}/app.1.js`)).text();
  for (let round = 0; round < 400; round++) {
    const url = `/${coding}/app.2.js?${round}`;
    const answer = await fetch(url);
    const body = await answer.arrayBuffer();
    if (answer.headers.get('content-encoding') === coding) {
      const [timing] = performance.getEntriesByName(new URL(url, location).href);
      return [coding, hex(await crypto.subtle.digest('SHA-256', body)), timing.encodedBodySize];
    }
    await pause();
  }
  return [coding, 'never', 0];
};
(async () => {
  const found = [await read('dcb'), await read('dcz')];
  await fetch('/found', { method: 'POST', body: JSON.stringify(found) });
})().catch(error => fetch('/found', { method: 'POST', body: JSON.stringify(`${error}`) }));
</script>"#;

/// Ends with the test.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The digest of a certificate's key, by which the browser takes it for good.
fn pin(certificate: &str) -> String {
    let key = filtered("openssl", &["x509", "-pubkey", "-noout"], certificate.as_bytes());
    let key = filtered("openssl", &["pkey", "-pubin", "-outform", "der"], &key);
    let digest = filtered("openssl", &["dgst", "-sha256", "-binary"], &key);
    String::from_utf8(filtered("openssl", &["base64", "-A"], &digest)).unwrap().trim().to_owned()
}

fn browse(proxy: &Proxy, pin: &str, profile: &TempDir) -> Option<Browser> {
    let mut command = Tool::Chromium.command()?;
    let port = proxy.address("web").port();
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    // The authority is a test's own, and this browser takes dictionaries from nobody else's but the world's.
    command.args([
        "--no-first-run",
        "--disable-features=CompressionDictionaryTransportRequireKnownRootCert",
    ]);
    command.arg(format!("--ignore-certificate-errors-spki-list={pin}"));
    command.arg(format!("--host-resolver-rules=MAP app.example 127.0.0.1:{port}"));
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.args(["--remote-debugging-port=0", "https://app.example/"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Some(Browser(command.spawn().unwrap()))
}

#[test]
fn a_browser_reads_the_new_version_with_the_help_of_the_old_one() {
    let page = Reply::ok(PAGE).header("Content-Type", "text/html");
    let mut origin = Origin::start().serve("/", page).serve("/found", Reply::ok(""));
    for coding in ["dcb", "dcz"] {
        for (number, tag) in [(1, "\"v1\""), (2, "\"v2\"")] {
            let path = format!("/{coding}/app.{number}.js");
            origin = origin.serve(&path, script(version(number), tag));
        }
    }
    let authority = Authority::new();
    let identity = authority.identity(&["app.example"]);
    let lines = |coding: &str, name: &str| {
        let keep = "proxy = \"app\"\ncache = \"main\"";
        format!(
            "{keep}\nencode = {{ codings = [\"{coding}\"] }}\ndictionary = \"/{name}/app.*.js\""
        )
    };
    let config = config()
        .file("edge.pem", identity.certificate_pem())
        .file("edge.key", identity.key_pem())
        .web("tls = { certificate = \"edge.pem\", key = \"edge.key\" }")
        .site("")
        .route("/dcb/*", lines("br", "dcb"))
        .route("/dcz/*", lines("zstd", "dcz"))
        .route("/*", "proxy = \"app\"")
        .upstream("app", &[&origin], "")
        .toml("[zones.main]\nmemory = \"64MiB\"");
    let proxy = Proxy::start(&config);
    let profile = tempfile::tempdir().unwrap();
    let Some(_browser) = browse(&proxy, &pin(identity.certificate_pem()), &profile) else { return };
    let patience = Deadline::after(Duration::from_secs(120));
    let said = eventually("the browser is done", patience, || origin.requests("/found").pop());
    let found: serde_json::Value = serde_json::from_slice(&said.body).unwrap();
    let new = version(2);
    let hash = String::from_utf8(filtered("sha256sum", &[], &new)).unwrap();
    for (coding, found) in ["dcb", "dcz"].into_iter().zip(found.as_array().unwrap()) {
        assert_eq!(found[0], coding, "{found}");
        assert_eq!(found[1], hash.split(' ').next().unwrap(), "{found}");
        let size = found[2].as_u64().unwrap();
        assert!(size > 0 && size * 20 < new.len() as u64, "{size} bytes of {}", new.len());
    }
}
