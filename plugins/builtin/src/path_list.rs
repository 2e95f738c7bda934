//! Lists of paths.

use switchback_plugin::BuildError;

/// Paths; one that ends in `*` stands for all that begin so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathList(Vec<(String, Reach)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Itself,
    AllThatBeginSo,
}

impl PathList {
    /// Reads the option at `path`.
    ///
    /// # Errors
    ///
    /// Something that does not begin with `/`, or has `*` where it means nothing.
    pub(crate) fn new(path: &str, patterns: &[String]) -> Result<Self, BuildError> {
        let read = |(index, pattern): (usize, &String)| {
            read(pattern).map_err(|message| BuildError::new(format!("{path}[{index}]"), message))
        };
        patterns.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The place in the list of the first that stands for `path`, a normalised one.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        self.0.iter().position(|(pattern, reach)| match reach {
            Reach::Itself => pattern == path,
            Reach::AllThatBeginSo => path.starts_with(pattern.as_str()),
        })
    }
}

fn read(pattern: &str) -> Result<(String, Reach), String> {
    let (text, reach) = match pattern.strip_suffix('*') {
        Some(beginning) => (beginning, Reach::AllThatBeginSo),
        None => (pattern, Reach::Itself),
    };
    if !text.starts_with('/') {
        return Err(format!("`{pattern}` is no path: it does not begin with `/`"));
    }
    if text.contains('*') {
        return Err(format!("`{pattern}`: `*` stands at the end only"));
    }
    Ok((text.to_owned(), reach))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_stands_for_a_path_is_found() {
        let list = PathList::new("paths", &["/a".into(), "/a*".into(), "/b/*".into()]).unwrap();
        let found = ["/a", "/ab", "/b/", "/b", "/"].map(|path| list.find(path));
        assert_eq!(found, [Some(0), Some(1), Some(2), None, None]);
    }

    #[test]
    fn what_is_no_path_is_located() {
        for wrong in ["", "*", "a", "/a*b", "/**"] {
            let error = PathList::new("paths", &["/a".into(), wrong.into()]).unwrap_err();
            assert_eq!(error.path, "paths[1]", "{wrong}");
        }
    }
}
