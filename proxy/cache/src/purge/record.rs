//! A purge as it is written down.

use bytes::{BufMut, Bytes, BytesMut};

use super::Manner;
use super::table::What;

/// A purge, and when it was. Whether what is read is whole is the disk's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) what: What,
    pub(super) manner: Manner,
    pub(super) at: u64,
}

/// The first byte of every record of this form.
const FORM: u8 = 1;

impl Record {
    /// Form, kind, manner, time, then what is purged.
    pub(super) fn write(&self) -> Bytes {
        let mut written = BytesMut::with_capacity(32);
        written.put_u8(FORM);
        written.put_u8(match self.what {
            What::Nothing => 0,
            What::Everything => 1,
            What::Name(_) => 2,
            What::Prefix(_) => 3,
        });
        written.put_u8(u8::from(self.manner == Manner::Soft));
        written.put_u64_le(self.at);
        match &self.what {
            What::Nothing | What::Everything => {}
            What::Name(name) => written.put_u128_le(*name),
            What::Prefix(prefix) => written.put_slice(prefix),
        }
        written.freeze()
    }

    /// What was written so, or nothing where no record was.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let ([FORM, kind, manner], rest) = bytes.split_first_chunk()? else { return None };
        let (at, rest) = rest.split_first_chunk()?;
        let what = match (kind, rest) {
            (0, []) => What::Nothing,
            (1, []) => What::Everything,
            (2, name) => What::Name(u128::from_le_bytes(name.try_into().ok()?)),
            (3, prefix) => What::Prefix(prefix.into()),
            _ => return None,
        };
        let manner = match manner {
            0 => Manner::Hard,
            1 => Manner::Soft,
            _ => return None,
        };
        // A time that the clock could never show is no time.
        let at = Some(u64::from_le_bytes(*at)).filter(|at| *at < u64::MAX >> 2)?;
        Some(Self { what, manner, at })
    }
}
