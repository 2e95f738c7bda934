//! What becomes of pictures, told by decoders that have no part in making them.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod still;
