//! Lists of networks as the owners of crawlers publish them.

use serde::Deserialize;

use crate::networks::{Networks, network};
use crate::watched::lines;

/// `googlebot.json`, `bingbot.json` and their like.
#[derive(Deserialize)]
struct Published {
    prefixes: Vec<Prefix>,
}

#[derive(Deserialize)]
struct Prefix {
    #[serde(rename = "ipv4Prefix", alias = "ipv6Prefix", alias = "ip_prefix")]
    network: String,
}

/// One network a line, or JSON with `prefixes`.
pub(super) fn parse(text: &str) -> Result<Networks, String> {
    let networks: Result<Vec<_>, String> = if text.trim_start().starts_with('{') {
        let published: Published = serde_json::from_str(text).map_err(|error| error.to_string())?;
        published.prefixes.iter().map(|prefix| network(&prefix.network)).collect()
    } else {
        let located =
            |(number, line)| network(line).map_err(|message| format!("line {number}: {message}"));
        lines(text).map(located).collect()
    };
    let networks = networks?;
    if networks.is_empty() {
        return Err("holds no network".into());
    }
    Ok(Networks::new(networks))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let json = r#"{"creationTime": "2026-01-01", "prefixes": [{"ipv6Prefix": "2001:db8::/64"}, {"ipv4Prefix": "192.0.2.0/27"}]}"#;
        let lines = "# published\n2001:db8::/64\n\n192.0.2.0/27\n";
        let json = parse(json).unwrap();
        assert_eq!(json, parse(lines).unwrap());
        assert!(json.contains("192.0.2.31".parse().unwrap()));
        assert!(!json.contains("192.0.2.32".parse().unwrap()));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in
            ["", "# nothing", "{}", "{\"prefixes\": []}", "example.org", "10.0.0.0/8 10.0.0.0/8"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        let error = parse("10.0.0.0/8\nnobody\n").unwrap_err();
        assert!(error.starts_with("line 2: `nobody`"), "{error}");
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(text in "[{}\":a-f0-9./ \\n\\PC]{0,40}") {
            let _ = parse(&text);
        }
    }
}
