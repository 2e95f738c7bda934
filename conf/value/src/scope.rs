//! The names that a text may use beside the registry.

use std::collections::HashMap;
use std::sync::Arc;

use crate::variable::{self, MAP_PREFIX, Variable};

/// The captures of the route in which a text stands, and the maps there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    captures: Vec<Box<str>>,
    maps: MapNames,
}

/// The names of maps in the order of their index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapNames(Arc<HashMap<Box<str>, u32>>);

impl MapNames {
    /// Whether there are no maps.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: AsRef<str>> FromIterator<S> for MapNames {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(Arc::new(names.into_iter().map(|name| name.as_ref().into()).zip(0..).collect()))
    }
}

impl Scope {
    /// A scope without captures.
    pub fn new() -> Self {
        Self::default()
    }

    /// The captures in the order of their index. A group without a name has the empty name, and a number only.
    pub fn with_captures<I, S>(names: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let captures = names.into_iter().map(|name| name.as_ref().into()).collect();
        Self { captures, ..Self::default() }
    }

    /// The same with these maps: `$map_NAME` is the one of that name.
    #[must_use]
    pub fn with_maps(self, maps: MapNames) -> Self {
        Self { maps, ..self }
    }

    /// How many captures there are.
    pub(crate) fn len(&self) -> usize {
        self.captures.len()
    }

    /// What `$name` means: the registry, so that no capture changes the meaning of `$host`; else a map, else a capture.
    pub(crate) fn variable(&self, name: &str) -> Option<Variable> {
        Variable::from_name(name).or_else(|| self.map(name)).or_else(|| self.capture(name))
    }

    fn map(&self, name: &str) -> Option<Variable> {
        let (name, index) = self.maps.0.get_key_value(name.strip_prefix(MAP_PREFIX)?)?;
        Some(Variable::Map { index: *index, name: name.clone() })
    }

    /// What `{name}` means: a capture.
    pub(crate) fn capture(&self, name: &str) -> Option<Variable> {
        let index = self.captures.iter().position(|own| !own.is_empty() && **own == *name)?;
        u8::try_from(index).ok().map(Variable::Capture)
    }

    /// What `$1` means: the first capture.
    pub(crate) fn numbered(&self, number: usize) -> Option<Variable> {
        let index = number.checked_sub(1).filter(|index| *index < self.len())?;
        u8::try_from(index).ok().map(Variable::Capture)
    }

    /// What `$name` was probably meant to be, as it is written.
    pub(crate) fn nearest_variable(&self, name: &str) -> Option<String> {
        variable::nearest_variable(name)
            .or_else(|| self.nearest_map(name))
            .or_else(|| self.nearest_capture(name))
    }

    fn nearest_map(&self, name: &str) -> Option<String> {
        let mut maps: Vec<_> = self.maps.0.keys().map(|own| format!("{MAP_PREFIX}{own}")).collect();
        // Of equally near names always the same.
        maps.sort_unstable();
        let name = crate::suggest::nearest(name, maps.iter().map(String::as_str))?;
        self.map(name).map(|variable| variable.to_string())
    }

    /// What `{name}` was probably meant to be, as it is written.
    pub(crate) fn nearest_capture(&self, name: &str) -> Option<String> {
        let captures = self.captures.iter().map(|own| &**own).filter(|own| !own.is_empty());
        crate::suggest::nearest(name, captures).map(|name| format!("{{{name}}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;
    use crate::variable::{Known, Variable};

    fn scope() -> Scope {
        Scope::with_captures(["id", "", "host"])
    }

    #[test]
    fn captures_are_counted_from_the_first() {
        assert_eq!(scope().capture("id"), Some(Variable::Capture(0)));
        assert_eq!(scope().capture("host"), Some(Variable::Capture(2)));
        assert_eq!(scope().numbered(1), Some(Variable::Capture(0)));
        assert_eq!(scope().numbered(3), Some(Variable::Capture(2)));
    }

    #[test]
    fn there_is_no_capture_before_the_first_or_after_the_last() {
        assert_eq!(scope().numbered(0), None);
        assert_eq!(scope().numbered(4), None);
        assert_eq!(Scope::new().numbered(1), None);
    }

    #[test]
    fn a_capture_does_not_hide_a_variable_of_the_registry() {
        assert_eq!(scope().variable("host"), Some(Variable::Known(Known::Host)));
        assert_eq!(scope().variable("id"), Some(Variable::Capture(0)));
        assert_eq!(scope().variable("post"), None);
    }

    #[test]
    fn a_group_without_name_cannot_be_named() {
        assert_eq!(scope().capture(""), None);
        assert_eq!(scope().nearest_capture("x"), None);
        assert_eq!(scope().numbered(2), Some(Variable::Capture(1)));
    }

    #[test]
    fn captures_beyond_a_byte_do_not_come_back_as_the_first_ones() {
        let many = Scope::with_captures((0..300).map(|number| format!("c{number}")));
        assert_eq!(many.capture("c255"), Some(Variable::Capture(255)));
        assert_eq!(many.capture("c256"), None);
        assert_eq!(many.numbered(256), Some(Variable::Capture(255)));
        assert_eq!(many.numbered(257), None);
    }

    #[test]
    fn a_map_is_known_by_its_name_and_its_place() {
        let scope = Scope::with_captures(["map_x", "map_b"])
            .with_maps(["a", "b", "c-d"].into_iter().collect());
        let b = Variable::Map { index: 1, name: "b".into() };
        assert_eq!(b.to_string(), "$map_b");
        assert_eq!(scope.variable("map_b"), Some(b));
        assert_eq!(scope.variable("map_c-d").unwrap().to_string(), "${map_c-d}");
        assert_eq!(scope.variable("map_x"), Some(Variable::Capture(0)));
        assert_eq!(scope.variable("map_"), None);
        assert_eq!(scope.capture("map_b"), Some(Variable::Capture(1)));
    }

    #[test]
    fn slips_are_corrected_to_maps() {
        let scope = Scope::new().with_maps(["backend", "tier"].into_iter().collect());
        assert_eq!(scope.nearest_variable("map_backnd").as_deref(), Some("$map_backend"));
        assert_eq!(scope.nearest_variable("mpa_tier").as_deref(), Some("$map_tier"));
        assert_eq!(scope.nearest_variable("map_zebra"), None);
    }

    #[test]
    fn slips_are_corrected_to_captures_as_they_are_written() {
        let scope = Scope::with_captures(["account"]);
        assert_eq!(scope.nearest_capture("acount").as_deref(), Some("{account}"));
        assert_eq!(scope.nearest_variable("acount").as_deref(), Some("{account}"));
        assert_eq!(scope.nearest_variable("hosst").as_deref(), Some("$host"));
        assert_eq!(scope.nearest_variable("zebra"), None);
    }
}
