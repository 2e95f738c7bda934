//! A process that works on a disk tier of the cache until it is killed: a part of the scenarios of kills and power cuts.

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    switchback_integration::tier_process(&arguments);
}
