//! The layout that `switchback fmt` gives a file.

#![cfg(test)]

use switchback_conf::format;

const UNTIDY: &str = "\u{feff}# head

  workers=2   # two
pid_file   =   \"a.pid\"


trusted_proxies=[ \"10.0.0.0/8\",\"::1\" , ]
# of the listener
# in two lines
[[ listeners ]] # public
address=\":80\"
\"timeouts\".header = '5s'
limits={fields=1,target=\"1k\"   }
tls = { }
[[sites]]
hosts = [ # all
 \"a\", \"b\" # b
 # before c
 , \"c\"


 # last
]
routes = [
{ match={path=\"/a # b\"}, respond={body='''
  x = [1
'''}},
  [1,
2.5], {}, 1979-05-27 07:32:00Z, \"\"\"a\"\"\"\"\", 'q', \"\", '', \"\\\"#\"
]
# the end";

const TIDY: &str = "# head

workers = 2 # two
pid_file = \"a.pid\"

trusted_proxies = [\"10.0.0.0/8\", \"::1\"]

# of the listener
# in two lines
[[listeners]] # public
address = \":80\"
\"timeouts\".header = '5s'
limits = { fields = 1, target = \"1k\" }
tls = {}

[[sites]]
hosts = [ # all
    \"a\",
    \"b\", # b
    # before c
    \"c\",
    # last
]
routes = [
    { match = { path = \"/a # b\" }, respond = { body = '''
  x = [1
''' } },
    [
        1,
        2.5,
    ],
    {},
    1979-05-27 07:32:00Z,
    \"\"\"a\"\"\"\"\",
    'q',
    \"\",
    '',
    \"\\\"#\",
]
# the end
";

#[test]
fn a_file_is_laid_out_and_then_left_alone() {
    assert_eq!(format(UNTIDY).unwrap(), TIDY);
    assert_eq!(format(TIDY).unwrap(), TIDY);
}

#[test]
fn little_files_stay_little() {
    for (text, expected) in [
        ("", ""),
        ("\n\n", ""),
        ("# a", "# a\n"),
        ("a=1", "a = 1\n"),
        ("\n\n# a\n\n\n\nb=1\r\n", "# a\n\nb = 1\n"),
    ] {
        assert_eq!(format(text).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn lines_end_as_on_unix() {
    assert_eq!(format("a = [\r\n1,\r\n]\r\n[b] # c\r\n").unwrap(), "a = [\n    1,\n]\n\n[b] # c\n");
}

#[test]
fn comments_stay_wherever_the_grammar_lets_them_stand() {
    let text = "a = { b = # why\n 1, c = { d # what\n = [\n # who\n 2 ] } }";
    let expected = "a = {\n    b = # why\n        1,\n    c = {\n        d # what\n            = [\n            # who\n            2,\n        ],\n    },\n}\n";
    let laid_out = format(text).unwrap();
    assert_eq!(laid_out, expected);
    assert_eq!(format(&laid_out).unwrap(), laid_out);
}

#[test]
fn what_is_no_toml_is_told_and_not_touched() {
    let found = format("a = \n[b\n").unwrap_err();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].code.to_string(), found[0].at.line()), ("C0004".to_owned(), Some(1)));
}
