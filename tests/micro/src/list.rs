//! A list of 100 users over HTTP: the real program in front of its simulated
//! application, one connection that is kept, one request after the other.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const TOKEN: &str = "token-of-the-micro-benchmark-0123456789";
const USERS: usize = 100;
const WARM_UP: usize = 200;
const ROUND: Duration = Duration::from_secs(2);

/// Requests in a second.
pub(crate) fn measure(program: &str) -> Result<f64, String> {
    let server = Server::start(program)?;
    let mut wire = Wire::open(&server.address)?;
    for number in 0..USERS {
        let body = format!(
            r#"{{"userName":"user{number}@example.com","externalId":"{number}","name":{{"givenName":"Given","familyName":"Family{number}"}},"emails":[{{"value":"user{number}@example.com","type":"work","primary":true}}]}}"#
        );
        wire.send("POST", "/scim/v2/Users", &body)?;
    }
    let mut list = || wire.send("GET", "/scim/v2/Users?count=100", "");
    let text = list()?;
    let shown = text.matches("\"userName\"").count();
    if shown != USERS {
        return Err(format!("{shown} users are listed instead of {USERS}"));
    }
    for _ in 0..WARM_UP {
        list()?;
    }
    let (began, mut requests) = (Instant::now(), 0_u32);
    while began.elapsed() < ROUND {
        list()?;
        requests += 1;
    }
    Ok(f64::from(requests) / began.elapsed().as_secs_f64())
}

/// Ended when it is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(program: &str) -> Result<Self, String> {
        let listen = [
            "demo",
            "--empty",
            "--listen",
            "127.0.0.1:0",
            "--token",
            TOKEN,
        ];
        let process = Command::new(program)
            .args(listen)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = process.map_err(|error| format!("{program}: {error}"))?;
        let output = process.stdout.take().ok_or("no output")?;
        let mut server = Self {
            process,
            address: String::new(),
        };
        for line in BufReader::new(output).lines() {
            let line = line.map_err(|error| error.to_string())?;
            if let Some((before, _)) = line.split_once("/scim/v2") {
                let address = before.rsplit_once("http://").map(|(_, address)| address);
                address.unwrap_or_default().clone_into(&mut server.address);
                return Ok(server);
            }
        }
        Err(format!("{program} told no address"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Wire {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Wire {
    fn open(address: &str) -> Result<Self, String> {
        let open = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            Ok(stream)
        };
        let stream = open().map_err(|error: std::io::Error| format!("{address}: {error}"))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address.to_owned(),
        })
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<String, String> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        let answer = self.exchange(request.as_bytes());
        let (status, text) = answer.map_err(|error| error.to_string())?;
        match status {
            200..=299 => Ok(text),
            _ => Err(format!("{method} {path} was answered {status}: {text}")),
        }
    }

    fn exchange(&mut self, request: &[u8]) -> std::io::Result<(u16, String)> {
        self.stream.get_mut().write_all(request)?;
        let (mut status, mut length, mut chunked) = (0, 0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest
                    .get(..3)
                    .and_then(|code| code.parse().ok())
                    .unwrap_or(0);
            } else if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap_or(0);
            } else if line.starts_with("transfer-encoding:") {
                chunked = line.ends_with("chunked");
            }
        }
        let mut body = Vec::new();
        if !chunked {
            self.take(length, &mut body)?;
        }
        while chunked {
            let size = usize::from_str_radix(&self.line()?, 16).unwrap_or(0);
            self.take(size, &mut body)?;
            self.line()?;
            chunked = size > 0;
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn take(&mut self, bytes: usize, body: &mut Vec<u8>) -> std::io::Result<()> {
        let start = body.len();
        body.resize(start + bytes, 0);
        self.stream.read_exact(&mut body[start..])
    }
}
