//! Directories without an index.

use std::fs;
use std::os::unix::fs::symlink;

use http::Method;
use switchback_files::{Autoindex, Settings, Symlinks};

use crate::folder::{Folder, Got, ask};

fn settings(folder: &Folder, autoindex: Autoindex) -> Settings {
    Settings { autoindex: Some(autoindex), ..folder.settings() }
}

fn folder() -> Folder {
    let folder = Folder::new()
        .with("list/b.txt", "12345")
        .with("list/a b.txt", "1")
        .with("list/zoo/x", "")
        .with("list/.hidden", "")
        .with("secret/x", "");
    for (target, link) in [
        ("b.txt", "linked.txt"),
        ("../../outside", "out.txt"),
        ("nowhere", "broken.txt"),
        ("zoo", "menagerie"),
    ] {
        symlink(target, folder.root().join("list").join(link)).unwrap();
    }
    fs::write(folder.outside().join("outside"), "outside").unwrap();
    folder
}

/// The names of a JSON listing, in order.
fn names(settings: &Settings) -> String {
    let body = ask(settings).get("/list/").body();
    let name = |line: &str| Some(line.strip_prefix("{ \"name\":\"")?.split('"').next()?.to_owned());
    body.lines().filter_map(name).collect::<Vec<_>>().join(", ")
}

#[test]
fn programs_get_directories_first_and_nothing_that_could_not_be_served() {
    let folder = folder();
    let mut settings = settings(&folder, Autoindex::Json);
    assert_eq!(names(&settings), "menagerie, zoo, a b.txt, b.txt, linked.txt");
    settings.symlinks = Symlinks::Never;
    assert_eq!(names(&settings), "zoo, a b.txt, b.txt");
    settings.hidden = true;
    assert_eq!(names(&settings), "zoo, .hidden, a b.txt, b.txt");

    let reply = ask(&settings).get("/list/").reply();
    assert_eq!(reply.header("content-type"), "application/json");
    let line =
        r#"{ "name":"b.txt", "type":"file", "mtime":"Sun, 06 Nov 1994 08:49:37 GMT", "size":5 }"#;
    assert!(reply.body.contains(line), "{}", reply.body);
}

#[test]
fn people_get_a_page() {
    let folder = folder();
    let settings = settings(&folder, Autoindex::Html);
    let reply = ask(&settings).get("/list/").reply();
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(reply.body.contains("<title>Index of /list/</title>"), "{}", reply.body);
    assert!(reply.body.contains("<a href=\"a%20b.txt\">a b.txt</a>"), "{}", reply.body);
    let head = ask(&settings).method(Method::HEAD).get("/list/").reply();
    assert_eq!((head.headers, head.body.as_str()), (reply.headers, ""));
    assert_eq!(ask(&settings).method(Method::POST).get("/list/"), Got::MethodNotAllowed);
    assert_eq!(ask(&settings).get("/list"), Got::AddSlash("/list/".into()));
    assert_eq!(ask(&settings).get("/none/"), Got::Missing);
    assert_eq!(ask(&folder.settings()).get("/list/"), Got::Forbidden);
}

#[test]
fn the_root_itself_is_listed_and_its_links_are_looked_through() {
    let folder = Folder::new().with("a.txt", "1234");
    symlink("a.txt", folder.root().join("b.txt")).unwrap();
    let body = ask(&settings(&folder, Autoindex::Json)).get("/").body();
    assert_eq!(body.matches("\"size\":4 }").count(), 2, "{body}");
}
