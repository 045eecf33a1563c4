//! A server that says what is written down, in order, and keeps what it was
//! asked. Whatever was not expected is answered 500.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

type Lines = Vec<(String, u16, String)>;

/// The rest of the script, and what went otherwise.
#[derive(Default)]
struct State {
    left: Lines,
    odd: Vec<String>,
    heads: String,
}

pub(in crate::upstream) struct Script {
    pub(in crate::upstream) address: String,
    state: Arc<Mutex<State>>,
}

impl Script {
    /// Each line is a request (its method, target and body), a status and a body, which
    /// headers may stand before, as in HTTP.
    pub(in crate::upstream) async fn start(lines: &[(&str, u16, &str)]) -> Self {
        let own = lines.iter();
        let own =
            own.map(|(asked, status, body)| ((*asked).to_owned(), *status, (*body).to_owned()));
        let state = Arc::new(Mutex::new(State {
            left: own.rev().collect(),
            ..State::default()
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let inside = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, inside.clone()));
            }
        });
        Self { address, state }
    }

    #[track_caller]
    pub(in crate::upstream) fn all_was_asked(&self) {
        let state = self.state.lock().unwrap();
        assert_eq!(state.odd, Vec::<String>::new());
        assert_eq!(state.left, Lines::new());
    }

    pub(in crate::upstream) fn heads(&self) -> String {
        self.state.lock().unwrap().heads.clone()
    }
}

async fn converse(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut read = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut read).await {
        let line = head.lines().next().unwrap_or_default();
        let line = line.trim_end_matches(" HTTP/1.1");
        let asked = format!("{line} {body}").trim().to_owned();
        let answer = {
            let mut state = state.lock().unwrap();
            state.heads.push_str(&head);
            match state.left.pop() {
                Some((expected, status, body)) if expected == asked => (status, body),
                other => {
                    state.odd.push(format!("{asked}, not {other:?}"));
                    (500, String::new())
                }
            }
        };
        let (status, body) = answer;
        let (headers, body) = match body.split_once("\r\n\r\n") {
            Some((headers, body)) => (format!("{headers}\r\n"), body),
            None => (String::new(), &*body),
        };
        let text = format!(
            "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The head and the body of the next request.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        let text = String::from_utf8_lossy(read).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|it| it.strip_prefix("content-length: "));
            let length = length.map_or(0, |it| it.parse().unwrap());
            if rest.len() >= length {
                let whole = head.len() + 4 + length;
                read.drain(..whole);
                return Some((head.to_owned(), rest[..length].to_owned()));
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}
