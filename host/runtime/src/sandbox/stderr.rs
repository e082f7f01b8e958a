//! The guest's standard output and error: never full, never shown, the end kept.
//!
//! Secrets are taken out before the text is cut, so a little more than the end is kept.
//!
//! A panic's message is the last thing that a guest writes. wasmtime's own memory pipe would trap the guest when it is full.

use crate::redaction::Redactor;
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The last bytes of what was written.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    kept: Arc<Mutex<Kept>>,
    written: Arc<AtomicU64>,
    limit: usize,
    /// Bytes kept before the end: as much as a secret can take that reaches into it.
    margin: usize,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    cut: bool,
}

impl Tail {
    pub(crate) fn new(limit: usize, margin: usize) -> Self {
        Self {
            kept: Arc::default(),
            written: Arc::default(),
            limit,
            margin,
        }
    }

    /// How many bytes were written since this was last asked.
    pub(crate) fn take_written(&self) -> u64 {
        self.written.swap(0, Ordering::Relaxed)
    }

    fn push(&self, bytes: &[u8]) {
        self.written
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let most = self.limit + self.margin;
        let fitting = &bytes[bytes.len().saturating_sub(most)..];
        let surplus = (kept.bytes.len() + fitting.len()).saturating_sub(most);
        kept.cut |= surplus > 0 || fitting.len() < bytes.len();
        kept.bytes.drain(..surplus);
        kept.bytes.extend(fitting);
    }

    /// The end of what was written, as text without secrets.
    pub(crate) fn text(&self, redactor: &Redactor) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.bytes.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let text = redactor.text(&text);
        // Half a secret that the margin cut stands within as many bytes again.
        let hidden = if kept.cut { self.margin } else { 0 };
        let mut start = hidden.max(text.len().saturating_sub(self.limit));
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text.get(start..).unwrap_or_default().to_owned()
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Tail {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Secret;

    #[test]
    fn the_end_is_kept_and_the_beginning_dropped() {
        let none = Redactor::none();
        let tail = Tail::new(4, 0);
        tail.push(b"abc");
        tail.push(b"de");
        assert_eq!(tail.text(&none), "bcde");
        tail.push(b"0123456789");
        assert_eq!(tail.text(&none), "6789");
    }

    #[test]
    fn a_cut_shows_no_half_of_a_secret() {
        let secret = Secret::new("s3cret-token-of-24-bytes");
        let redactor = Redactor::new([&secret], None);
        for position in 0..64 {
            let tail = Tail::new(32, redactor.widest());
            tail.push(&vec![b'.'; 2 * redactor.widest()]);
            tail.push(secret.expose().as_bytes());
            tail.push(&vec![b'.'; position]);
            let text = tail.text(&redactor);
            assert!(text.len() <= 32, "{text}");
            assert!(!text.contains("bytes") && !text.contains("s3c"), "{text}");
        }
        for position in 0..=secret.expose().len() {
            // The kept part begins inside the secret, which can no longer be recognised.
            let tail = Tail::new(32, redactor.widest());
            tail.push(secret.expose().as_bytes());
            tail.push(&vec![b'.'; 32 + redactor.widest() - position]);
            assert_eq!(tail.text(&redactor), ".".repeat(32), "{position}");
        }
    }
}
