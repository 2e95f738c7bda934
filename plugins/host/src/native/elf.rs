//! What is looked at before the system's own loader is: it trusts files, and a library that was copied only in part ends the program.

/// The machine that this program is for, as ELF numbers them.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// A part of the file that is mapped into memory.
const LOAD: u32 = 1;
/// A shared library, or a program that may lie anywhere.
const SHARED: u16 = 3;

/// Whether `bytes` are a whole shared library for this machine; what they are instead.
pub(super) fn check(bytes: &[u8]) -> Result<(), &'static str> {
    if bytes.starts_with(b"\0asm") {
        return Err("is a Wasm module: name it .wasm");
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Err("is no shared library (ELF)");
    }
    if bytes.get(4..6) != Some(&[2, 1]) {
        return Err("is no library for 64-bit, little-endian processors");
    }
    let file = File(bytes);
    if file.short(18) != Some(MACHINE) {
        return Err("is built for another processor");
    }
    if file.short(16) != Some(SHARED) {
        return Err("is no shared library: build it as one (crate-type cdylib, cc -shared)");
    }
    file.is_whole().filter(|is_whole| *is_whole).map(drop).ok_or("ends in the middle: copy it anew")
}

struct File<'a>(&'a [u8]);

impl File<'_> {
    /// Whether all that the tables at its beginning and its end tell of is in it. `None` where they are not.
    fn is_whole(&self) -> Option<bool> {
        let sections = u64::from(self.short(58)?) * u64::from(self.short(60)?);
        let end_of_sections = self.long(40)?.checked_add(sections)?;
        let (first, size) = (self.long(32)?, u64::from(self.short(54)?));
        let mut is_whole = self.has(end_of_sections);
        for index in 0..u64::from(self.short(56)?) {
            let at = usize::try_from(first.checked_add(index * size)?).ok()?;
            let (offset, in_file) =
                (self.long(at.checked_add(8)?)?, self.long(at.checked_add(32)?)?);
            if self.word(at)? == LOAD {
                is_whole &= self.has(offset.checked_add(in_file)?);
            }
        }
        Some(is_whole)
    }

    fn has(&self, end: u64) -> bool {
        end <= self.0.len() as u64
    }

    fn part<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn short(&self, at: usize) -> Option<u16> {
        self.part(at).map(u16::from_le_bytes)
    }

    fn word(&self, at: usize) -> Option<u32> {
        self.part(at).map(u32::from_le_bytes)
    }

    fn long(&self, at: usize) -> Option<u64> {
        self.part(at).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn library() -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut libc = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let libc = libc.find(|path| path.contains("/libc.so")).unwrap();
        std::fs::read(libc).unwrap()
    }

    #[test]
    fn a_library_of_the_system_is_whole_and_none_of_its_beginnings_is() {
        let library = library();
        assert_eq!(check(&library), Ok(()));
        for length in (0..library.len()).step_by(997).chain([library.len() - 1]) {
            assert!(check(&library[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(mut bytes in prop::collection::vec(any::<u8>(), 0..256), is_head in any::<bool>()) {
            let head = [0x7f, b'E', b'L', b'F', 2, 1];
            if is_head && bytes.len() > 64 {
                bytes[..6].copy_from_slice(&head);
                bytes[16..20].copy_from_slice(&[3, 0, MACHINE as u8, 0]);
            }
            let _ = check(&bytes);
        }
    }
}
