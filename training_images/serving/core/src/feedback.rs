//! Feedback on its way to Python, which scores it, and back.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::refusal::Refusal;

/// Bodies that wait for Python.
const WAITING: usize = 64;

/// Where the status and JSON of an answer go.
pub type Reply = oneshot::Sender<(u16, Vec<u8>)>;

/// The body of feedback, and where its answer goes.
pub struct Asked {
    pub body: Vec<u8>,
    /// Another replica sent it here.
    pub handed_over: bool,
    pub reply: Reply,
}

pub struct Feedback {
    /// `None` once no more is to come.
    sender: Mutex<Option<SyncSender<Asked>>>,
    receiver: Mutex<Receiver<Asked>>,
}

impl Default for Feedback {
    fn default() -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        Feedback { sender: Mutex::new(Some(sender)), receiver: Mutex::new(receiver) }
    }
}

impl Feedback {
    /// Status and JSON of the answer to a body.
    pub async fn ask(&self, body: Vec<u8>, handed_over: bool) -> Result<(u16, Vec<u8>), Refusal> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { body, handed_over, reply };
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match sender.map(|sender| sender.try_send(asked)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => {
                return Err(Refusal::new(503, format!("{WAITING} feedbacks wait already: come back in a second")));
            }
            None | Some(Err(TrySendError::Disconnected(_))) => return Err(Refusal::new(503, "draining")),
        }
        answer.await.map_err(|_| Refusal::new(500, "the server failed; its log says why"))
    }

    /// The next body, waited for; `None` when no more is to come.
    pub fn next(&self) -> Option<Asked> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }

    pub fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_answered() {
        let feedback = Feedback::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let asked = feedback.next().unwrap();
                assert_eq!((asked.body, asked.handed_over), (b"{}".to_vec(), true));
                asked.reply.send((200, b"[]".to_vec())).unwrap();
            });
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            assert_eq!(runtime.block_on(feedback.ask(b"{}".to_vec(), true)), Ok((200, b"[]".to_vec())));
        });
        feedback.close();
        assert!(feedback.next().is_none());
    }
}
