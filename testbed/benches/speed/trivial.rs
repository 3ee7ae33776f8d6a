//! A server that does nothing: it answers every request with the same success. So what a generator costs can be seen.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 74\r\n\r\n\
{\"outcome\":\"success\",\"request_id\":\"00000000-0000-7000-8000-000000000000\"}\n";

/// What a relay says to those that only look whether it is there.
const WRONG_METHOD: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\n\r\n";

/// Serves on `address`, a thread for each connection, until the process is ended.
pub(crate) fn serve(address: &str) -> anyhow::Result<()> {
    for stream in TcpListener::bind(address)?.incoming() {
        let stream = stream?;
        std::thread::spawn(move || answer(stream));
    }
    Ok(())
}

/// Requests one by one, as clients of HTTP/1.1 send them that do not pipeline.
fn answer(mut stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut buffer, mut held) = ([0; 16 * 1024], 0);
    loop {
        let read = stream.read(buffer.get_mut(held..)?).ok().filter(|read| *read > 0)?;
        held += read;
        let Some(length) = request(buffer.get(..held)?) else {
            continue;
        };
        let answer = if buffer.starts_with(b"POST") {
            ANSWER
        } else {
            WRONG_METHOD
        };
        buffer.copy_within(length..held, 0);
        held -= length;
        stream.write_all(answer).ok()?;
    }
}

/// The length of the first request, once all of it is there.
fn request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
    let body = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let length = head + body.unwrap_or(0);
    (bytes.len() >= length).then_some(length)
}
