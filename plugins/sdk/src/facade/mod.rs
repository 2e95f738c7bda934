//! What hooks are given: views of one [`Exchange`](crate::Exchange), each with what makes sense there.

/// The methods of a view for one list of headers.
macro_rules! header_methods {
    ($($exchange:ident).+, $map:expr) => {
        /// The first value of a header, if it is text. A name that was made before is found faster than one that is text.
        #[must_use]
        pub fn header<'n>(&self, name: impl Into<FieldName<'n>>) -> Option<Cow<'_, str>> {
            text(self.$($exchange).+.field($map, name.into())?)
        }

        /// The first value of a header.
        #[must_use]
        pub fn header_bytes<'n>(&self, name: impl Into<FieldName<'n>>) -> Option<Value<'_>> {
            self.$($exchange).+.field($map, name.into())
        }

        /// Calls `visit` with each header, in order; names in lower case.
        pub fn headers(&self, mut visit: impl FnMut(&str, &[u8])) {
            self.$($exchange).+.fields($map, &mut visit);
        }

        /// Has `value` take the place of all values of a header.
        ///
        /// # Errors
        ///
        /// [`Refused::Invalid`]; [`Refused::Full`] where there are 8192 fields already
        pub fn set_header<'n>(&mut self, name: impl Into<FieldName<'n>>, value: impl AsRef<[u8]>) -> Result<(), Refused> {
            self.$($exchange).+.set_field($map, name.into(), value.as_ref())
        }

        /// The same with a value that was made before, in [`build`](crate::Plugin::build): the fastest way.
        ///
        /// # Errors
        ///
        /// [`Refused::Invalid`]; [`Refused::Full`] where there are 8192 fields already
        pub fn set_header_value<'n>(&mut self, name: impl Into<FieldName<'n>>, value: &HeaderValue) -> Result<(), Refused> {
            self.$($exchange).+.set_value($map, name.into(), value)
        }

        /// Adds a value to a header.
        ///
        /// # Errors
        ///
        /// [`Refused::Invalid`]; [`Refused::Full`] where there are 8192 fields already
        pub fn append_header<'n>(&mut self, name: impl Into<FieldName<'n>>, value: impl AsRef<[u8]>) -> Result<(), Refused> {
            self.$($exchange).+.append_field($map, name.into(), value.as_ref())
        }

        /// Removes a header.
        ///
        /// # Errors
        ///
        /// [`Refused::Invalid`]
        pub fn remove_header<'n>(&mut self, name: impl Into<FieldName<'n>>) -> Result<(), Refused> {
            self.$($exchange).+.remove_field($map, name.into())
        }
    };
}

mod background;
mod body;
mod done;
mod endpoints;
mod operating;
mod request;
mod response;
mod route;

use std::borrow::Cow;

use crate::exchange::Value;

pub use background::Background;
pub use body::Body;
pub use done::Done;
pub use endpoints::Endpoints;
pub use operating::{Operated, Operating};
pub use request::Request;
pub use response::Response;
pub use route::Route;

/// A value that is text.
fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}
