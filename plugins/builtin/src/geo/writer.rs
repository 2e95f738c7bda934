//! Writes small files in MaxMind's format (version 2.0), for tests: `maxmind.github.io/MaxMind-DB`.

use std::net::Ipv6Addr;

use serde_json::Value;

/// A file of what is said of networks: of IPv6, or of IPv4 as the last 32 bits of `::/96`.
pub(super) fn database(networks: &[(&str, Value)]) -> Vec<u8> {
    let mut tree = Tree { nodes: vec![[Record::Nothing; 2]] };
    let mut data = Vec::new();
    for (network, value) in networks {
        let (address, bits) = network.split_once('/').unwrap();
        let bits: u32 = bits.parse().unwrap();
        let (address, bits) = match address.parse::<std::net::Ipv4Addr>() {
            Ok(address) => (u128::from(u32::from(address)), bits + 96),
            Err(_) => (address.parse::<Ipv6Addr>().unwrap().to_bits(), bits),
        };
        tree.insert(address, bits, data.len());
        encode(value, &mut data);
    }
    let mut file = tree.write();
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = serde_json::json!({
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1, "database_type": "Test",
        "description": {}, "ip_version": 6, "languages": ["en"], "node_count": tree.nodes.len(), "record_size": 32,
    });
    encode(&metadata, &mut file);
    file
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

struct Tree {
    nodes: Vec<[Record; 2]>,
}

impl Tree {
    fn insert(&mut self, address: u128, bits: u32, data: usize) {
        let mut node = 0;
        for bit in 0..bits {
            let side = usize::from(address >> (127 - bit) & 1 == 1);
            if bit + 1 == bits {
                self.nodes[node][side] = Record::Data(data);
                return;
            }
            node = match self.nodes[node][side] {
                Record::Node(next) => next,
                _ => {
                    self.nodes.push([Record::Nothing; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][side] = Record::Node(next);
                    next
                }
            };
        }
    }

    fn write(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let number = |record: &Record| match record {
            Record::Nothing => count,
            Record::Node(node) => *node,
            Record::Data(offset) => count + 16 + offset,
        };
        let records = self.nodes.iter().flatten();
        records.flat_map(|record| u32::try_from(number(record)).unwrap().to_be_bytes()).collect()
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            control(7, fields.len(), out);
            for (name, value) in fields {
                encode(&Value::String(name.clone()), out);
                match (value.as_u64(), name.as_str()) {
                    (Some(time), "build_epoch") => {
                        control(9, 8, out);
                        out.extend(time.to_be_bytes());
                    }
                    (
                        Some(number),
                        "ip_version"
                        | "record_size"
                        | "binary_format_major_version"
                        | "binary_format_minor_version",
                    ) => {
                        control(5, 2, out);
                        out.extend(u16::try_from(number).unwrap().to_be_bytes());
                    }
                    _ => encode(value, out),
                }
            }
        }
        Value::Array(values) => {
            control(11, values.len(), out);
            values.iter().for_each(|value| encode(value, out));
        }
        Value::String(text) => {
            control(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Number(number) if number.is_f64() => {
            control(3, 8, out);
            out.extend(number.as_f64().unwrap().to_be_bytes());
        }
        Value::Number(number) => {
            let number = u32::try_from(number.as_u64().unwrap()).unwrap();
            control(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        other => panic!("{other}"),
    }
}

/// The type and the size, both small ones: beyond type 7 it is behind the first byte.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (first, extended) = if kind > 7 { (0, Some(kind - 7)) } else { (kind << 5, None) };
    let (size, more) = match size {
        0..29 => (size, None),
        _ => (29, Some(u8::try_from(size - 29).unwrap())),
    };
    out.push(first | u8::try_from(size).unwrap());
    out.extend(extended);
    out.extend(more);
}
