//! Answers requests of WASI 0.3 with the crate `wasip3`, each path in a way of its own.

use wasip3::clocks::monotonic_clock;
use wasip3::exports::http::handler::Guest;
use wasip3::filesystem::preopens;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};
use wasip3::wit_bindgen::{StreamReader, StreamResult};
use wasip3::{spawn_local, wit_future, wit_stream};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

struct App;

wasip3::http::service::export!(App);

impl Guest for App {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/sleep" => {
                monotonic_clock::wait_for(20_000_000).await;
                Ok(text("rested\n"))
            }
            "/echo" => Ok(echo(request)),
            "/fetch" => fetch(query).await,
            "/listen" => {
                listen_again().await;
                Ok(text("listened\n"))
            }
            "/list" => {
                list_in_part().await;
                Ok(text("listed\n"))
            }
            "/late" => {
                spawn_local(async {
                    monotonic_clock::wait_for(20_000_000).await;
                    println!("after the response");
                });
                Ok(text("early\n"))
            }
            "/error" => Err(ErrorCode::InternalError(Some("on purpose".to_string()))),
            "/panic" => panic!("on purpose"),
            _ => Ok(text("Hello, WASI 0.3!\n")),
        }
    }
}

/// A response of one piece.
fn text(text: &'static str) -> Response {
    let (mut body, contents) = wit_stream::new();
    let (_, ended) = wit_future::new(|| Ok(None));
    let headers = Fields::from_list(&[("content-type".to_string(), b"text/plain".to_vec())]);
    let headers = headers.expect("the field is valid");
    let (response, _) = Response::new(headers, Some(contents), ended);
    spawn_local(async move {
        body.write_all(text.as_bytes().to_vec()).await;
    });
    response
}

/// Sends each piece of the request back as it comes, with its trailers.
fn echo(request: Request) -> Response {
    let (_, received) = wit_future::new(|| Ok(()));
    let (mut from, trailers) = Request::consume_body(request, received);
    let (mut body, contents) = wit_stream::new();
    let (response, _) = Response::new(Fields::new(), Some(contents), trailers);
    spawn_local(async move {
        while let Some(piece) = read(&mut from).await {
            if !body.write_all(piece).await.is_empty() {
                return; // the client has gone
            }
        }
    });
    response
}

/// What has come of a body, unless that was all.
async fn read(from: &mut StreamReader<u8>) -> Option<Vec<u8>> {
    match from.read(Vec::with_capacity(PIECE)).await {
        (StreamResult::Complete(_), piece) => Some(piece),
        _ => None,
    }
}

/// Passes another server's response on: `/fetch?AUTHORITY`.
async fn fetch(authority: &str) -> Result<Response, ErrorCode> {
    let (_, ended) = wit_future::new(|| Ok(None));
    let (request, _) = Request::new(Fields::new(), None, ended, None);
    let valid = "what was asked for is valid";
    request.set_scheme(Some(&Scheme::Http)).expect(valid);
    request.set_authority(Some(authority)).expect(valid);
    request.set_path_with_query(Some("/")).expect(valid);
    client::send(request).await
}

/// Connects to a listener of its own, closes it before the next connection comes, and listens once more.
async fn listen_again() {
    let any = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) });
    for _ in 0..3 {
        let listener = TcpSocket::create(IpAddressFamily::Ipv4).expect("there is room");
        listener.bind(any).expect("there is a port");
        let address = listener.get_local_address().expect("it is bound");
        let mut connections = listener.listen().expect("it is bound");
        let client = TcpSocket::create(IpAddressFamily::Ipv4).expect("there is room");
        client.connect(address).await.expect("somebody listens");
        connections.next().await.expect("there is a connection");
        monotonic_clock::wait_for(1_000_000).await; // by then the host waits for another
    }
}

/// Reads the first entries of its folder, and closes it before the end has come.
async fn list_in_part() {
    let folders = preopens::get_directories();
    let (folder, _) = folders.first().expect("there is a folder");
    let (mut entries, outcome) = folder.read_directory();
    let (_, some) = entries.read(Vec::with_capacity(PIECE)).await;
    assert!(!some.is_empty());
    drop(entries);
    outcome.await.expect("nothing is wrong");
}
