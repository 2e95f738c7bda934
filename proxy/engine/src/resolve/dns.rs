//! Questions to name servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr as _;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName as _};
use domain::rdata::{A, Aaaa, AllRecordData, Srv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::probes::dice;

/// A name server that does not answer in this time has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rounds over all name servers.
const ROUNDS: usize = 2;
/// The largest answer over UDP: what fits into a packet on any path.
const PACKET: u16 = 1232;
/// The most records that are taken of one answer.
const MOST: usize = 1000;

/// What a name server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// A and AAAA records.
    pub(super) addresses: Vec<IpAddr>,
    /// SRV records.
    pub(super) services: Vec<Service>,
    /// PTR records.
    pub(super) names: Vec<String>,
    /// How long it holds, in seconds; that of the record that holds shortest.
    pub(super) ttl: u32,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) host: String,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
    Ptr,
}

impl Kind {
    fn rtype(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
            Self::Srv => Rtype::SRV,
            Self::Ptr => Rtype::PTR,
        }
    }
}

/// What came of asking one name server.
enum Said {
    Answer(Answer),
    /// There is more than fits: ask over TCP.
    Truncated,
    /// There is no such name.
    Nothing,
    /// It cannot say.
    Failed(String),
}

/// Asks the servers in turn until one can say. A name that does not exist is an empty answer.
pub(super) async fn ask(servers: &[SocketAddr], name: &str, kind: Kind) -> Result<Answer, String> {
    let mut reason = "there is no name server".to_owned();
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        let id = dice() as u16;
        let question = question(id, name, kind)?;
        match exchange(*server, &question, (id, kind)).await {
            Said::Answer(answer) => return Ok(answer),
            Said::Nothing => return Ok(Answer::default()),
            Said::Truncated => reason = format!("{server}: its answer is cut"),
            Said::Failed(why) => reason = format!("{server}: {why}"),
        }
    }
    Err(reason)
}

fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, String> {
    let name = Name::<Vec<u8>>::from_str(name).map_err(|error| error.to_string())?;
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((&name, kind.rtype())).map_err(|error| error.to_string())?;
    let mut message = message.additional();
    let sized = message.opt(|opt| {
        opt.set_udp_payload_size(PACKET);
        Ok(())
    });
    sized.map_err(|error| error.to_string())?;
    Ok(message.finish())
}

async fn exchange(server: SocketAddr, question: &[u8], wanted: (u16, Kind)) -> Said {
    let said = timed(over_udp(server, question, wanted)).await;
    match said {
        Said::Truncated => timed(over_tcp(server, question, wanted)).await,
        said => said,
    }
}

async fn timed(asking: impl Future<Output = std::io::Result<Said>>) -> Said {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => Said::Failed(error.to_string()),
        Err(_) => Said::Failed("no answer in 2 s".to_owned()),
    }
}

async fn over_udp(
    server: SocketAddr,
    question: &[u8],
    wanted: (u16, Kind),
) -> std::io::Result<Said> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut packet = vec![0; 4096];
    loop {
        let length = socket.recv(&mut packet).await?;
        let received = packet.get(..length).unwrap_or_default();
        // What is no answer to this question is somebody else's.
        if let Some(said) = read(received, question, wanted) {
            return Ok(said);
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    question: &[u8],
    wanted: (u16, Kind),
) -> std::io::Result<Said> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX).to_be_bytes();
    stream.write_all(&[&length, question].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    let said = read(&answer, question, wanted);
    Ok(said.unwrap_or_else(|| Said::Failed("it answers something else".to_owned())))
}

/// What a message says; `None` when it is no answer to `question`.
fn read(bytes: &[u8], question: &[u8], (id, kind): (u16, Kind)) -> Option<Said> {
    let message = Message::from_slice(bytes).ok()?;
    let question = Message::from_slice(question).ok()?;
    if message.header().id() != id || !message.is_answer(question) {
        return None;
    }
    if message.header().tc() {
        return Some(Said::Truncated);
    }
    Some(match message.header().rcode() {
        Rcode::NOERROR => match records(message, kind) {
            Some(answer) => Said::Answer(answer),
            None => Said::Failed("its answer cannot be read".to_owned()),
        },
        Rcode::NXDOMAIN => Said::Nothing,
        rcode => Said::Failed(rcode.to_string()),
    })
}

fn records(message: &Message<[u8]>, kind: Kind) -> Option<Answer> {
    // The name itself, or the one at the end of its aliases.
    let owner = message.canonical_name()?;
    let mut answer = Answer { ttl: u32::MAX, ..Answer::default() };
    for record in message.answer().ok()?.limit_to::<AllRecordData<_, _>>().take(MOST) {
        let record = record.ok()?;
        let is_alias = matches!(record.data(), AllRecordData::Cname(_));
        if is_alias {
            answer.ttl = answer.ttl.min(record.ttl().as_secs());
            continue;
        }
        if !record.owner().name_eq(&owner) {
            continue;
        }
        match (record.data(), kind) {
            (AllRecordData::A(data), Kind::A) => answer.addresses.push(of_a(data)),
            (AllRecordData::Aaaa(data), Kind::Aaaa) => answer.addresses.push(of_aaaa(data)),
            (AllRecordData::Srv(data), Kind::Srv) => answer.services.extend(of_srv(data)),
            (AllRecordData::Ptr(data), Kind::Ptr) => {
                answer.names.push(data.ptrdname().to_string().to_ascii_lowercase());
            }
            _ => continue,
        }
        answer.ttl = answer.ttl.min(record.ttl().as_secs());
    }
    Some(answer)
}

fn of_a(data: &A) -> IpAddr {
    data.addr().into()
}

fn of_aaaa(data: &Aaaa) -> IpAddr {
    data.addr().into()
}

/// A target of `.` says that there is no such service (RFC 2782).
fn of_srv<N: domain::base::ToName + std::fmt::Display>(data: &Srv<N>) -> Option<Service> {
    let host = data.target().to_string();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then(|| Service {
        priority: data.priority(),
        weight: data.weight(),
        port: data.port(),
        host,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer to the question for the addresses of `app.example`: an alias for 60 s, its address for 5 s.
    fn answer(question: &[u8]) -> Vec<u8> {
        let mut message = question[..question.len() - 11].to_vec();
        message[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]);
        message.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'b', 0xc0, 16]);
        message.extend_from_slice(&[0xc0, 41, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 1]);
        message
    }

    #[test]
    fn aliases_are_followed_and_the_shortest_time_holds() {
        let question = question(7, "app.example", Kind::A).unwrap();
        let Some(Said::Answer(found)) = read(&answer(&question), &question, (7, Kind::A)) else {
            panic!("no answer")
        };
        assert_eq!(found.addresses, [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(found.ttl, 5);
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let asked = question(7, "app.example", Kind::A).unwrap();
        let other = question(7, "app.exampla", Kind::A).unwrap();
        assert!(read(&answer(&asked), &asked, (8, Kind::A)).is_none());
        assert!(read(&answer(&asked), &other, (7, Kind::A)).is_none());
        assert!(read(&asked, &asked, (7, Kind::A)).is_none());
    }

    proptest! {
        #[test]
        fn damaged_answers_do_no_harm(at in 0_usize..70, byte: u8, cut in 0_usize..80) {
            let question = question(7, "app.example", Kind::A).unwrap();
            let mut message = answer(&question);
            if let Some(place) = message.get_mut(at) {
                *place = byte;
            }
            message.truncate(cut);
            let _ = read(&message, &question, (7, Kind::A));
        }
    }
}
