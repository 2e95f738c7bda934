//! Which certificates bear a name.

use std::collections::HashMap;

use rustls_pki_types::CertificateDer;

/// The DNS names that a certificate bears (RFC 6125: the subject's common name is none), lower-case, without the dot of the root.
pub(super) fn of(leaf: &CertificateDer<'_>) -> Box<[Box<str>]> {
    match webpki::EndEntityCert::try_from(leaf) {
        Ok(leaf) => leaf.valid_dns_names().map(normal).collect(),
        // It was parsed when it was read.
        Err(_) => Box::default(),
    }
}

/// As names are compared.
pub(super) fn normal(name: &str) -> Box<str> {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into()
}

/// Names to numbers, several of each name.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    exact: HashMap<Box<str>, Vec<u32>>,
    /// Without their star: `.shop.example`.
    wildcards: HashMap<Box<str>, Vec<u32>>,
}

impl NameTable {
    /// Adds a name in its normal form.
    pub(super) fn insert(&mut self, name: &str, number: u32) {
        let numbers = match name.strip_prefix('*') {
            Some(domain) if domain.starts_with('.') => self.wildcards.entry(domain.into()),
            _ => self.exact.entry(name.into()),
        };
        numbers.or_default().push(number);
    }

    /// The numbers of a name in its normal form: of itself, else of the wildcard that stands for its first label (RFC 6125, 6.4.3).
    pub(super) fn find(&self, name: &str) -> &[u32] {
        let wildcard = || self.wildcards.get(name.get(name.find('.').filter(|at| *at > 0)?..)?);
        self.exact.get(name).or_else(wildcard).map(Vec::as_slice).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(names: &[&str]) -> NameTable {
        let mut table = NameTable::default();
        for (name, number) in names.iter().zip(0..) {
            table.insert(name, number);
        }
        table
    }

    #[test]
    fn the_exact_name_comes_before_the_wildcard_of_one_label() {
        let table = table(&["a.example", "*.example", "a.example", "*.b.example", "*"]);
        assert_eq!(table.find("a.example"), [0, 2]);
        assert_eq!(table.find("c.example"), [1]);
        assert_eq!(table.find("x.b.example"), [3]);
        for name in ["example", ".example", "x.y.example", "", "."] {
            assert!(table.find(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn names_are_compared_without_case_and_root() {
        assert_eq!(&*normal("Shop.EXAMPLE."), "shop.example");
    }

    proptest! {
        #[test]
        fn a_wildcard_stands_for_one_label(label in "[a-z*.]{0,5}", domain in "[a-z]{1,3}") {
            let found = !table(&[&format!("*.{domain}")]).find(&format!("{label}.{domain}")).is_empty();
            prop_assert_eq!(found, !label.is_empty() && !label.contains('.'));
        }
    }
}
