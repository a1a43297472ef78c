//! Test support: an HTTP server on 127.0.0.1 whose replies the test decides.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// 0 for the first request of this server.
    pub number: usize,
    /// Header lines.
    pub headers: Vec<String>,
    pub body: String,
}

/// What the server does with a request.
pub enum Action {
    /// Status, extra header lines, body.
    Reply(u16, &'static str, String),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// Nothing for this long, then the connection is closed.
    Hang(Duration),
}

pub fn ok(body: impl Into<String>) -> Action {
    Action::Reply(200, "", body.into())
}

type Handler = dyn Fn(&Received) -> Action + Send + Sync;

pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
    most_at_once: Arc<AtomicUsize>,
    is_closed: Arc<AtomicBool>,
}

impl Server {
    pub fn start(handler: impl Fn(&Received) -> Action + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = Self {
            address,
            requests: Arc::default(),
            most_at_once: Arc::default(),
            is_closed: Arc::default(),
        };
        let handler: Arc<Handler> = Arc::new(handler);
        let requests = Arc::clone(&server.requests);
        let most = Arc::clone(&server.most_at_once);
        let closed = Arc::clone(&server.is_closed);
        let open = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::SeqCst) {
                    break;
                }
                let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
                let (most, open) = (Arc::clone(&most), Arc::clone(&open));
                std::thread::spawn(move || {
                    // A client that gave up breaks the connection; that is part of the tests.
                    let _ = serve(stream, &*handler, &requests, &open, &most);
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1/chat/completions", self.address)
    }

    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().expect("not poisoned").clone()
    }

    /// Most requests that were being handled at the same time.
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the listener
    }
}

fn serve(
    stream: TcpStream,
    handler: &Handler,
    requests: &Mutex<Vec<Received>>,
    open: &AtomicUsize,
    most: &AtomicUsize,
) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            headers.push(line.trim().to_owned());
        }
        let length = headers
            .iter()
            .find_map(|h| {
                h.to_lowercase()
                    .strip_prefix("content-length:")?
                    .trim()
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let received = {
            let mut requests = requests.lock().expect("not poisoned");
            let received = Received {
                number: requests.len(),
                headers,
                body: String::from_utf8(body).expect("a JSON body"),
            };
            requests.push(received.clone());
            received
        };
        most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let action = handler(&received);
        open.fetch_sub(1, Ordering::SeqCst);
        match action {
            Action::Reply(status, extra, body) => {
                let length = body.len();
                write!(
                    out,
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\n{extra}\r\n{body}"
                )?;
                out.flush()?;
            }
            Action::Raw(bytes) => return out.write_all(&bytes),
            Action::Hang(time) => {
                std::thread::sleep(time);
                return Ok(());
            }
        }
    }
}
