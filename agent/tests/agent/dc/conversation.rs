//! A conversation with the scripted domain controller: TLS, then each request and its answer.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindResponse, LdapFilter, LdapMsg, LdapOp, LdapPartialAttribute, LdapResult, LdapResultCode,
    LdapSearchResultEntry, LdapSearchScope,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::Framed;

use super::{Manner, Received, Reply, State};

/// Result 0 for message 1: an answer to StartTLS, or with another tag to something else.
fn success(tag: u8) -> Vec<u8> {
    vec![0x30, 12, 2, 1, 1, tag, 7, 0x0a, 1, 0, 4, 0, 4, 0]
}

/// Whether a search is for whoever has some attribute, and not for one account.
fn is_for_anybody(filter: &LdapFilter) -> bool {
    match filter {
        LdapFilter::And(parts) => parts.iter().any(is_for_anybody),
        filter => matches!(filter, LdapFilter::Present(_)),
    }
}

pub(super) async fn take(
    manner: Manner,
    acceptor: TlsAcceptor,
    mut stream: TcpStream,
    state: Arc<Mutex<State>>,
    accepted: watch::Sender<usize>,
    bound: Arc<Notify>,
) {
    match manner {
        Manner::Silent => return std::future::pending().await,
        Manner::Plain(result) => {
            if begins_with_start_tls(&stream).await {
                let mut answer = success(0x78);
                answer[9] = result;
                let _ = stream.write_all(&answer).await;
                return;
            }
            return serve(manner, stream, state, accepted, bound).await;
        }
        Manner::StartTls | Manner::NoTls | Manner::Injects => {
            let mut request = vec![0; 64];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].ends_with(b"1.3.6.1.4.1.1466.20037"));
            let mut answer = success(0x78);
            if manner == Manner::Injects {
                answer.extend_from_slice(&success(0x61));
            }
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            if manner == Manner::NoTls {
                // The agent's hello, answered in the clear.
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                return;
            }
        }
        Manner::Ldaps | Manner::GarbageRootDse | Manner::OpenLdap => {}
    }
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    serve(manner, stream, state, accepted, bound).await;
}

async fn begins_with_start_tls(stream: &TcpStream) -> bool {
    let mut bytes = [0; 64];
    let length = stream.peek(&mut bytes).await.unwrap_or(0);
    bytes[..length].ends_with(b"1.3.6.1.4.1.1466.20037")
}

async fn serve(
    manner: Manner,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: Arc<Mutex<State>>,
    accepted: watch::Sender<usize>,
    bound: Arc<Notify>,
) {
    let mut connection = 0;
    accepted.send_modify(|number| {
        *number += 1;
        connection = *number;
    });
    if state.lock().unwrap().takes.is_some_and(|takes| connection > takes) {
        return;
    }
    let mut framed = Framed::new(stream, LdapCodec::default());
    while let Some(Ok(message)) = framed.next().await {
        let answers = match message.op {
            LdapOp::BindRequest(bind) => {
                let LdapBindCred::Simple(password) = bind.cred else {
                    panic!("not a simple bind")
                };
                let reply = {
                    let mut state = state.lock().unwrap();
                    state.binds.push(Received {
                        connection,
                        name: bind.dn,
                        password,
                    });
                    state.script.pop_front()
                };
                bound.notify_one();
                match reply.unwrap_or(Reply::Answer(LdapResultCode::Success, String::new())) {
                    Reply::Answer(code, text) => vec![LdapOp::BindResponse(LdapBindResponse {
                        res: result(code, text),
                        saslcreds: None,
                    })],
                    Reply::Held(release, code) => {
                        release.notified().await;
                        vec![LdapOp::BindResponse(LdapBindResponse {
                            res: result(code, String::new()),
                            saslcreds: None,
                        })]
                    }
                    Reply::After(pause) => {
                        tokio::time::sleep(pause).await;
                        vec![LdapOp::BindResponse(LdapBindResponse {
                            res: result(LdapResultCode::Success, String::new()),
                            saslcreds: None,
                        })]
                    }
                    Reply::Silence => std::future::pending().await,
                    Reply::Close => return,
                    Reply::Last => {
                        let answer = LdapOp::BindResponse(LdapBindResponse {
                            res: result(LdapResultCode::Success, String::new()),
                            saslcreds: None,
                        });
                        let _ = framed.send(LdapMsg::new(message.msgid, answer)).await;
                        return;
                    }
                    Reply::Say(higher, op) => {
                        let message = LdapMsg::new(message.msgid + higher, op);
                        let _ = framed.send(message).await;
                        return std::future::pending().await;
                    }
                    Reply::Bytes(bytes) => {
                        let _ = framed.get_mut().write_all(&bytes).await;
                        let _ = framed.get_mut().flush().await;
                        return std::future::pending().await;
                    }
                    Reply::Cut => {
                        let mut answer = success(0x61);
                        answer[4] = u8::try_from(message.msgid).unwrap();
                        let _ = framed.get_mut().write_all(&answer[..12]).await;
                        let _ = framed.get_mut().shutdown().await;
                        return;
                    }
                }
            }
            LdapOp::SearchRequest(search) if search.base.is_empty() && search.scope == LdapSearchScope::Base => {
                state.lock().unwrap().root_dse_reads += 1;
                if manner == Manner::GarbageRootDse {
                    let _ = framed.get_mut().write_all(b"220 ready\r\n").await;
                    let _ = framed.get_mut().flush().await;
                    return std::future::pending().await;
                }
                let root = [
                    ("defaultNamingContext", b"DC=corp,DC=example,DC=com".as_slice()),
                    match manner {
                        Manner::OpenLdap => ("objectClass", b"OpenLDAProotDSE"),
                        _ => ("supportedCapabilities", b"1.2.840.113556.1.4.800"),
                    },
                ];
                let refusal = state.lock().unwrap().root_dse_refusal.clone();
                match refusal {
                    Some(code) => vec![done(code)],
                    None => vec![entry("", &root), done(LdapResultCode::Success)],
                }
            }
            LdapOp::SearchRequest(search) => {
                let (found, held) = {
                    let mut state = state.lock().unwrap();
                    if is_for_anybody(&search.filter) {
                        state.sights.push(search);
                        (state.shown.clone(), None)
                    } else {
                        state.searches.push((connection, search));
                        if state.hangs_up_on_searches {
                            return;
                        }
                        let held = state.held.as_mut().filter(|(left, _)| *left > 0);
                        let held = held.map(|(left, release)| {
                            *left -= 1;
                            release.clone()
                        });
                        (state.found.clone(), held)
                    }
                };
                if let Some(release) = held {
                    release.notified().await;
                }
                match found {
                    Some(found) => found,
                    None => std::future::pending().await,
                }
            }
            LdapOp::UnbindRequest => return,
            other => panic!("the agent sent {other:?}"),
        };
        for op in answers {
            let message = LdapMsg {
                msgid: message.msgid,
                op,
                ctrl: Vec::new(),
            };
            if framed.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// An entry of a search.
pub(crate) fn entry(dn: &str, attributes: &[(&str, &[u8])]) -> LdapOp {
    let attributes = attributes.iter().map(|(name, value)| LdapPartialAttribute {
        atype: (*name).to_owned(),
        vals: vec![value.to_vec()],
    });
    LdapOp::SearchResultEntry(LdapSearchResultEntry {
        dn: dn.to_owned(),
        attributes: attributes.collect(),
    })
}

/// The end of a search.
pub(crate) fn done(code: LdapResultCode) -> LdapOp {
    LdapOp::SearchResultDone(result(code, String::new()))
}

fn result(code: LdapResultCode, message: String) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message,
        referral: Vec::new(),
    }
}
