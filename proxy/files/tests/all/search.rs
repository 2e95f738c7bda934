//! Which candidate answers.

use http::Method;
use switchback_files::{Candidate, Kind};

use crate::folder::{Folder, Got, ask};

fn file(path: &str) -> Candidate<'_> {
    Candidate::new(path.as_bytes(), Kind::File)
}

fn directory(path: &str) -> Candidate<'_> {
    Candidate::new(path.as_bytes(), Kind::Directory)
}

#[test]
fn a_file_is_sent_with_all_that_is_known_of_it() {
    let folder = Folder::new().with("a/b.txt", "0123456789abcdefghij");
    let reply = ask(&folder.settings()).get("/a/b.txt").reply();
    assert_eq!((reply.status, reply.body.as_str()), (200, "0123456789abcdefghij"));
    assert_eq!(reply.header("content-type"), "text/plain");
    assert_eq!(reply.header("content-length"), "20");
    assert_eq!(reply.header("last-modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(reply.header("etag"), "\"2ebc98a1-14\"");
    assert_eq!(reply.header("accept-ranges"), "bytes");
    assert_eq!(reply.headers.len(), 5);
}

#[test]
fn head_says_what_get_would_send() {
    let folder = Folder::new().with("a.txt", "0123456789");
    let got = ask(&folder.settings()).get("/a.txt").reply();
    let head = ask(&folder.settings()).method(Method::HEAD).get("/a.txt").reply();
    assert_eq!((head.status, head.body.as_str(), head.headers), (200, "", got.headers));
}

#[test]
fn an_empty_file_is_an_answer_too() {
    let folder = Folder::new().with("empty.css", "");
    let reply = ask(&folder.settings()).get("/empty.css").reply();
    assert_eq!((reply.status, reply.header("content-length")), (200, "0"));
}

#[test]
fn other_methods_are_refused_where_there_is_something_and_missing_where_not() {
    let folder = Folder::new().with("a.txt", "x").with("dir/index.html", "x");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let settings = folder.settings();
        let asked = || ask(&settings).method(method.clone());
        assert_eq!(asked().get("/a.txt"), Got::MethodNotAllowed, "{method}");
        assert_eq!(asked().get("/dir"), Got::MethodNotAllowed, "{method}");
        assert_eq!(asked().get("/dir/"), Got::MethodNotAllowed, "{method}");
        assert_eq!(asked().get("/none"), Got::Missing, "{method}");
    }
}

#[test]
fn a_directory_without_its_slash_is_sent_there() {
    let folder = Folder::new().with("dir/index.html", "index");
    let settings = folder.settings();
    assert_eq!(ask(&settings).get("/dir"), Got::AddSlash("/dir/".into()));
    let own = || [file("/dir").own(), directory("/dir/").own()];
    let got = ask(&settings).try_each(b"/dir?x=1", own());
    assert_eq!(got, Got::AddSlash("/dir/?x=1".into()));
    let got = ask(&settings).try_each(b"//evil.example/../dir", own());
    assert_eq!(got, Got::AddSlash("/evil.example/../dir/".into()));
    assert_eq!(ask(&settings).get("/dir/").body(), "index");
}

#[test]
fn a_prefix_that_is_the_whole_path_needs_its_slash_too() {
    let folder = Folder::new().with("index.html", "index");
    let got = ask(&folder.settings())
        .try_each(b"/images", [Candidate::new(b"".as_slice(), Kind::Any).own()]);
    assert_eq!(got, Got::AddSlash("/images/".into()));
    assert_eq!(ask(&folder.settings()).get("/").body(), "index");
}

#[test]
fn entries_match_what_nginx_lets_them_match() {
    let folder = Folder::new()
        .with("docs/page.html", "page")
        .with("docs.html", "docs")
        .with("with/index.html", "with")
        .with("index.html", "front");
    let settings = folder.settings();
    let tried = |path: &str, candidates: Vec<Candidate<'static>>| {
        ask(&settings).try_each(path.as_bytes(), candidates)
    };
    // An entry without a slash is for files alone, even at the root.
    assert_eq!(tried("/docs", vec![file("/docs").own(), file("/docs.html")]).body(), "docs");
    assert_eq!(tried("/", vec![file("/").own()]), Got::Missing);
    assert_eq!(tried("/docs/", vec![file("/docs/").own(), file("/index.html")]).body(), "front");
    // One with a slash is for directories alone, and an existing one ends the search.
    assert_eq!(tried("/with/", vec![directory("/with//").own()]).body(), "with");
    assert_eq!(
        tried("/docs/", vec![directory("/docs/").own(), file("/index.html")]),
        Got::Forbidden
    );
    assert_eq!(
        tried("/none", vec![directory("/none/").own(), file("/index.html")]).body(),
        "front"
    );
    assert_eq!(tried("/docs.html", vec![directory("/docs.html/").own()]), Got::Missing);
    // Another path's directory is answered in place, or by nothing where a file is meant as well.
    assert_eq!(tried("/x", vec![directory("/with/")]).body(), "with");
    assert_eq!(tried("/x", vec![Candidate::new(b"/with".as_slice(), Kind::Any)]), Got::Missing);
    assert_eq!(tried("/x", vec![]), Got::Missing);
}

#[test]
fn index_names_are_tried_in_order_and_only_as_files() {
    let folder = Folder::new().with("a/second.html", "2").with("a/index.html/x", "");
    let mut settings = folder.settings();
    settings.index = ["index.html".into(), "second.html".into()].into();
    let reply = ask(&settings).get("/a/").reply();
    assert_eq!((reply.body.as_str(), reply.header("content-type")), ("2", "text/html"));
    settings.index = [].into();
    assert_eq!(ask(&settings).get("/a/"), Got::Forbidden);
}

#[test]
fn a_deployment_is_seen_soon_and_what_is_new_in_it_at_once() {
    let folder = Folder::new();
    crate::folder::write(&folder.outside().join("one/a.txt"), "one");
    crate::folder::write(&folder.outside().join("two/a.txt"), "two");
    crate::folder::write(&folder.outside().join("two/new.txt"), "new");
    let mut settings = folder.settings();
    let current = folder.outside().join("current");
    settings.root = current.clone().into();
    assert_eq!(ask(&settings).get("/a.txt"), Got::Missing);
    for (target, expected) in [("one", "one"), ("two", "two"), ("one", "one")] {
        let next = folder.outside().join("next");
        std::os::unix::fs::symlink(target, &next).unwrap();
        std::fs::rename(&next, &current).unwrap();
        if target == "two" {
            assert_eq!(ask(&settings).get("/new.txt").body(), "new");
            assert_eq!(ask(&settings).get("/a.txt").body(), "two");
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while ask(&settings).get("/a.txt").body() != expected {
            assert!(std::time::Instant::now() < deadline, "{target} is not seen");
        }
    }
}

#[test]
fn names_that_no_file_can_have_are_missing() {
    let folder = Folder::new().with("a.txt", "x");
    let settings = folder.settings();
    for path in ["/a.txt/b", "/a.txt/", "/", "/none/"] {
        let expected = if path == "/" { Got::Forbidden } else { Got::Missing };
        assert_eq!(ask(&settings).get(path), expected, "{path}");
    }
    for length in [255, 256, 4094, 4095, 4096, 100_000] {
        assert_eq!(ask(&settings).get(&"n".repeat(length)), Got::Missing, "{length}");
        assert_eq!(ask(&settings).get(&"n/".repeat(length)), Got::Missing, "{length}");
    }
}
