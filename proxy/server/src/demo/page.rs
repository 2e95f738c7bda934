//! The page that explains what it sees.

use std::fmt::Write as _;

use http::request::Parts;

use super::origin::readable;

const PAGE: &str = include_str!("page.html");

/// Headers that the demo's configuration sets, beside those that Switchback always adds.
const FROM_THE_DEMO: &str = "x-demo-";

/// The page as origin `name` sees the request.
pub(super) fn render(name: &str, head: &Parts) -> String {
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    PAGE.replace("{{origin}}", name)
        .replace("{{other}}", if name == "A" { "B" } else { "A" })
        .replace("{{request}}", &escaped(&format!("{} {}", head.method, head.uri)))
        .replace("{{scheme}}", &escaped(header("x-forwarded-proto")))
        .replace("{{host}}", &escaped(header("host")))
        .replace("{{pid}}", &std::process::id().to_string())
        .replace("{{headers}}", &rows(head))
}

fn rows(head: &Parts) -> String {
    readable(&head.headers).fold(String::new(), |mut rows, (name, value)| {
        let class = if is_added(name) { " class=\"added\"" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            rows,
            "<tr{class}><th scope=\"row\">{}</th><td>{}</td></tr>",
            escaped(name),
            escaped(&value)
        );
        rows
    })
}

/// Whether the proxy put it there, not the browser.
fn is_added(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || name.starts_with(FROM_THE_DEMO)
        || matches!(name, "via" | "x-request-id" | "forwarded")
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(character),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn page(request: Request<()>) -> String {
        render("A", &request.into_parts().0)
    }

    #[test]
    fn every_placeholder_is_filled() {
        assert!(!page(Request::new(())).contains("{{"));
    }

    #[test]
    fn what_the_client_sent_stays_text() {
        let request = Request::get("/").header("user-agent", "<script>\"&").body(()).unwrap();
        let page = page(request);
        assert!(page.contains("&lt;script&gt;&quot;&amp;"));
        assert!(!page.contains("<script>\"&"));
    }

    #[test]
    fn headers_of_the_proxy_are_marked() {
        let request = Request::get("/")
            .header("x-forwarded-for", "1.2.3.4")
            .header("accept", "*/*")
            .body(())
            .unwrap();
        let page = page(request);
        assert!(page.contains("<tr class=\"added\"><th scope=\"row\">x-forwarded-for</th>"));
        assert!(page.contains("<tr><th scope=\"row\">accept</th>"));
    }
}
