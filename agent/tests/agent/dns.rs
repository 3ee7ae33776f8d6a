//! A DNS server that answers as it is told, over UDP on loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is said to those who ask for a name. A name of which nothing was told does not exist.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// These services: priority, weight, target.
    Services(Vec<(u16, u16, String)>),
    /// This address.
    Address(Ipv4Addr),
    /// This code and nothing else.
    Code(ResponseCode),
    /// Nothing at all.
    Silence,
}

/// The server. It ends when it is dropped.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    names: Arc<Mutex<BTreeMap<String, Told>>>,
    asked: watch::Sender<u32>,
    /// Of every service.
    port: Arc<AtomicU16>,
    _tasks: JoinSet<()>,
}

impl Dns {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let names = Arc::new(Mutex::new(BTreeMap::new()));
        let asked = watch::channel(0).0;
        let mut tasks = JoinSet::new();
        let port = Arc::new(AtomicU16::new(389));
        tasks.spawn(serve(socket, names.clone(), asked.clone(), port.clone()));
        Self {
            address,
            names,
            asked,
            port,
            _tasks: tasks,
        }
    }

    pub(crate) fn tell(&self, name: &str, told: Told) {
        self.names.lock().unwrap().insert(name.to_ascii_lowercase(), told);
    }

    /// The port of every service; 389 unless told.
    pub(crate) fn tell_port(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    pub(crate) fn tell_services(&self, name: &str, targets: &[&str]) {
        let services = targets.iter().map(|target| (0, 100, (*target).to_owned())).collect();
        self.tell(name, Told::Services(services));
    }

    /// Until somebody has asked for services `times` from now on.
    pub(crate) async fn until_asked(&self, times: u32) {
        let mut asked = self.asked.subscribe();
        let wanted = *asked.borrow() + times;
        asked.wait_for(|&asked| asked >= wanted).await.unwrap();
    }
}

async fn serve(
    socket: UdpSocket,
    names: Arc<Mutex<BTreeMap<String, Told>>>,
    asked: watch::Sender<u32>,
    port: Arc<AtomicU16>,
) {
    let mut datagram = [0; 4096];
    loop {
        let (length, peer) = socket.recv_from(&mut datagram).await.unwrap();
        let question = Message::from_vec(&datagram[..length]).unwrap();
        let query = question.queries.first().unwrap().clone();
        let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let told = names.lock().unwrap().get(&name).cloned();
        let mut answer = Message::response(question.id, OpCode::Query);
        answer.add_query(query.clone());
        let kind = query.query_type();
        match told {
            Some(Told::Services(services)) if kind == RecordType::SRV => {
                for (priority, weight, target) in services {
                    let target = Name::from_str(&format!("{target}.")).unwrap();
                    let data = RData::SRV(SRV::new(priority, weight, port.load(Ordering::Relaxed), target));
                    answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                }
            }
            Some(Told::Address(address)) if kind == RecordType::A => {
                let data = RData::A(A(address));
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
            Some(Told::Services(_) | Told::Address(_)) => {}
            Some(Told::Code(code)) => answer.metadata.response_code = code,
            Some(Told::Silence) => {}
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        let silent = names
            .lock()
            .unwrap()
            .get(&name)
            .is_some_and(|told| matches!(told, Told::Silence));
        if !silent {
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
        if kind == RecordType::SRV {
            asked.send_modify(|asked| *asked += 1);
        }
    }
}
