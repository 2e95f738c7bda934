//! Variables that plugins set.

use bytes::Bytes;
use switchback_plugin::Refused;
use switchback_value::{Known, is_plugin_variable};

/// The variables that plugins have set for one request: `$plugin_NAME`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables(Vec<(Box<str>, Bytes)>);

/// The most that one request may have.
const MOST: usize = 64;
/// The most bytes of all their values.
const MOST_BYTES: usize = 64 * 1024;

impl Variables {
    /// The value of that name, without `plugin_`.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.0.iter().find(|(own, _)| **own == *name)?;
        Some(value)
    }

    /// Sets `$plugin_NAME`, whether `name` is written with `plugin_` or without. Without it, one of the proxy's own is refused: who writes `host`
    /// may mean `$host`, and that is not to be set.
    pub(super) fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        let own = name.strip_prefix("plugin_");
        let is_taken = own.is_none() && Known::from_name(name).is_some();
        let name = own.unwrap_or(name);
        if is_taken || !is_plugin_variable(name) {
            return Err(Refused::Invalid);
        }
        let others = self.0.iter().filter(|(own, _)| **own != *name);
        let bytes: usize = others.map(|(_, value)| value.len()).sum();
        if bytes + value.len() > MOST_BYTES {
            return Err(Refused::Full);
        }
        let value = Bytes::copy_from_slice(value);
        if let Some((_, own)) = self.0.iter_mut().find(|(own, _)| **own == *name) {
            *own = value;
            return Ok(());
        }
        if self.0.len() >= MOST {
            return Err(Refused::Full);
        }
        self.0.push((name.into(), value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_proxys_own_are_refused_and_there_is_a_bound() {
        let mut variables = Variables::default();
        assert_eq!(variables.set("host", b"x"), Err(Refused::Invalid));
        assert_eq!(variables.set("plugin_", b"x"), Err(Refused::Invalid));
        assert_eq!(variables.set("plugin_host", b"x"), Ok(()), "it is no other's");
        assert_eq!(variables.value("host"), Some(&b"x"[..]));
        assert_eq!(variables.set("A", b"x"), Err(Refused::Invalid));
        assert_eq!(variables.set("", b"x"), Err(Refused::Invalid));
        assert_eq!(variables.set("tier", b"gold"), Ok(()));
        assert_eq!(variables.set("plugin_tier", b"silver"), Ok(()));
        assert_eq!(variables.value("tier"), Some(&b"silver"[..]));
        assert_eq!(variables.set("big", &vec![0; MOST_BYTES]), Err(Refused::Full));
        let all = (2..MOST).try_for_each(|number| variables.set(&format!("v{number}"), b""));
        assert_eq!(all, Ok(()));
        assert_eq!(variables.set("one_more", b""), Err(Refused::Full));
    }
}
