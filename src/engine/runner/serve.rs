//! Requests from people: one JSON line in, one JSON line back, over a unix socket of the run's own user.

use super::{Input, RunnerError};
use crate::planning::machine::Request;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// In a run's folder: where its runner hears requests.
pub const SOCKET_NOTE: &str = "socket";

/// A longer request is none.
const LONGEST_REQUEST_BYTES: u64 = 64 * 1024;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Granted; its entry in the journal is durable.
    Granted {
        /// The entry.
        sequence: u64,
    },
    /// Not granted; nothing was changed.
    Refused {
        /// Why, in words.
        why: String,
    },
}

/// Listens on `path`. A file that a dead runner left there is removed: the caller holds the run's lock.
pub(super) fn bind(path: &Path) -> Result<UnixListener, RunnerError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(RunnerError::System { what: "removing the socket of an earlier runner", error });
        }
        _ => {}
    }
    UnixListener::bind(path).map_err(RunnerError::system("listening for requests"))
}

/// Writes down where requests are heard, for clients with other settings.
pub(super) fn note(folder: &Path, socket: &Path) -> Result<(), RunnerError> {
    std::fs::write(folder.join(SOCKET_NOTE), socket.as_os_str().as_encoded_bytes())
        .map_err(RunnerError::system("noting where requests are heard"))
}

/// Takes requests until the runner ends. Who was heard holds a sender of `answering` until the answer is sent.
pub(super) async fn serve(
    listener: UnixListener,
    inbox: mpsc::UnboundedSender<Input>,
    answering: mpsc::WeakSender<()>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, inbox.clone(), answering.clone()));
            }
            Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
        }
    }
}

async fn converse(mut stream: UnixStream, inbox: mpsc::UnboundedSender<Input>, answering: mpsc::WeakSender<()>) {
    let mut until_sent = None;
    let own = rustix::process::geteuid().as_raw();
    let allowed = stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0);
    let reply = if allowed {
        ask(&mut stream, &inbox, || until_sent = answering.upgrade()).await
    } else {
        Some(Reply::Refused { why: "only the user this run belongs to may ask".to_owned() })
    };
    let Some(reply) = reply else { return };
    if let Ok(mut line) = serde_json::to_vec(&reply) {
        line.push(b'\n');
        // Who asked may have gone; the journal has what was granted.
        let _ = stream.write_all(&line).await;
    }
    drop(until_sent);
}

async fn ask(stream: &mut UnixStream, inbox: &mpsc::UnboundedSender<Input>, heard: impl FnOnce()) -> Option<Reply> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_REQUEST_BYTES)).read_line(&mut line).await.ok()?;
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => return Some(Reply::Refused { why: format!("not a request this Lifeboat knows: {error}") }),
    };
    heard();
    let (reply, answer) = oneshot::channel();
    inbox.send(Input::Asked(request, reply)).ok()?;
    answer.await.ok()
}
