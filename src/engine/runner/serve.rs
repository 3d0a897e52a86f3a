//! Requests from people: one JSON line in, one JSON line back, over a unix socket of the run's own user.

use super::{Input, RunnerError};
use crate::planning::machine::Request;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

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
    /// The journal could not be written: the runner ends, and only the journal tells whether it counts.
    Lost {
        /// Why, in words.
        why: String,
    },
    /// Not granted; nothing was changed.
    Refused {
        /// Why, in words.
        why: String,
    },
}

/// Somebody who asked and waits for the answer.
#[derive(Debug)]
pub(super) struct Asker(std::os::unix::net::UnixStream);

impl Asker {
    fn of(stream: UnixStream) -> Option<Asker> {
        stream.into_std().map(Asker).ok()
    }

    /// Answers at once, in the runner's own turn: an answer left to another task would be lost when the runner ends
    /// right after it. A line has room in the socket's buffer.
    pub(super) fn answer(mut self, reply: &Reply) {
        if let Ok(mut line) = serde_json::to_vec(reply) {
            line.push(b'\n');
            // Who asked may have gone; the journal has what was granted.
            let _ = self.0.write_all(&line);
        }
    }
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

/// Takes requests until the runner ends.
pub(super) async fn serve(listener: UnixListener, inbox: mpsc::UnboundedSender<Input>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, inbox.clone()));
            }
            Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
        }
    }
}

async fn converse(mut stream: UnixStream, inbox: mpsc::UnboundedSender<Input>) {
    let own = rustix::process::geteuid().as_raw();
    let allowed = stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0);
    let mut line = String::new();
    if allowed && BufReader::new((&mut stream).take(LONGEST_REQUEST_BYTES)).read_line(&mut line).await.is_err() {
        return;
    }
    let Some(asker) = Asker::of(stream) else { return };
    let refuse = |why: String| Reply::Refused { why };
    if !allowed {
        return asker.answer(&refuse("only the user this run belongs to may ask".to_owned()));
    }
    match serde_json::from_str::<Request>(&line) {
        // A runner that has ended answers nobody.
        Ok(request) => drop(inbox.send(Input::Asked(request, asker))),
        Err(error) => asker.answer(&refuse(format!("not a request this Lifeboat knows: {error}"))),
    }
}
