//! An application that does not prove who it is: a certificate that has ended,
//! for another name, of an authority that nobody named, or no TLS at all. It is
//! told nothing, nothing goes in plain text, what was asked for is kept and
//! arrives when the certificate is right (reliability: F-15).

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::support::{World, address, values};

/// Certificates made once for these tests; the key is no secret.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/tls")
        .join(name)
}

/// What stands before the application.
#[derive(Clone)]
enum Shown {
    Certificate(Arc<ServerConfig>),
    /// It speaks HTTP as if there were no TLS.
    Plain,
}

fn certificate(name: &str) -> Shown {
    let chain = CertificateDer::pem_file_iter(file(name)).unwrap();
    let chain: Vec<_> = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(file("leaf.key")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    Shown::Certificate(Arc::new(config.with_single_cert(chain, key).unwrap()))
}

/// Ends TLS in front of the application.
struct Door {
    port: u16,
    shown: Arc<Mutex<Shown>>,
    /// Everything that came without TLS.
    overheard: Arc<Mutex<Vec<u8>>>,
}

impl Door {
    /// Open before its application is there, whose address is told later.
    async fn open(shown: Shown) -> (Self, Arc<Mutex<Option<SocketAddr>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Self {
            port: listener.local_addr().unwrap().port(),
            shown: Arc::new(Mutex::new(shown)),
            overheard: Arc::default(),
        };
        let behind = Arc::new(Mutex::new(None));
        let (shown, overheard, application) =
            (door.shown.clone(), door.overheard.clone(), behind.clone());
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let shown = shown.lock().unwrap().clone();
                let to = application.lock().unwrap().expect("an application");
                tokio::spawn(pass(caller, shown, to, overheard.clone()));
            }
        });
        (door, behind)
    }

    fn shows(&self, shown: Shown) {
        *self.shown.lock().unwrap() = shown;
    }
}

async fn pass(mut caller: TcpStream, shown: Shown, to: SocketAddr, overheard: Arc<Mutex<Vec<u8>>>) {
    match shown {
        Shown::Certificate(config) => {
            let Ok(mut caller) = TlsAcceptor::from(config).accept(caller).await else {
                return;
            };
            let mut application = TcpStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut application).await;
        }
        Shown::Plain => {
            let mut heard = vec![0; 4096];
            let length = caller.read(&mut heard).await.unwrap_or(0);
            overheard.lock().unwrap().extend(&heard[..length]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_cannot_prove_who_it_is_is_told_nothing_until_it_can() {
    let (door, behind) = Door::open(Shown::Plain).await;
    let base = format!("https://localhost:{}", door.port);
    let trusted = file("ca.pem");
    let world = World::through(|upstream| {
        *behind.lock().unwrap() = upstream.trim_start_matches("http://").parse().ok();
        (base.clone(), format!("ca_file = {trusted:?}"))
    });
    let users = world.users("u", 2).await;
    let id = world.group("Developers", &users[..1]).await;
    let path = format!("/Groups/{id}");
    for shown in [
        Shown::Plain,
        certificate("expired.pem"),
        certificate("other.pem"),
        certificate("strange.pem"),
    ] {
        door.shows(shown);
        for op in ["add", "remove"] {
            let value = values(&users[1..]);
            let change = json!([{ "op": op, "path": "members", "value": value }]);
            world.patch(&path, change).await.expect(204);
        }
        let (ok, said) = world.command(&["check"]);
        assert!(!ok && said.contains("the server's certificate"), "{said}");
        assert_eq!(world.calls().await, Vec::<Value>::new());
    }
    let heard = door.overheard.lock().unwrap().clone();
    // A TLS handshake begins with 22; HTTP and the token would be text.
    assert!(!heard.is_empty() && heard[0] == 22, "{heard:?}");
    let text = String::from_utf8_lossy(&heard).into_owned();
    assert!(
        !text.contains("HTTP/1.1") && !text.contains("earer"),
        "{text}"
    );

    let value = values(&users[1..]);
    let change = json!([{ "op": "add", "path": "members", "value": value }]);
    world.patch(&path, change).await.expect(204);
    door.shows(certificate("right.pem"));
    let both = [address("u0"), address("u1")].into();
    world.until_upstream_has("developers", &both).await;
    let (ok, said) = world.command(&["check"]);
    assert!(ok, "{said}");
}
