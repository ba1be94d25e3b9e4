//! The open store, and the thread on which its connections live. Nothing here is called by a request.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use store::Store;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

use crate::config::NO_STORE;

/// How long the start waits for the database.
const OPEN_TIME: Duration = Duration::from_secs(30);

/// An open store. Clones share it.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The tables.
    pub store: Store,
    runtime: Handle,
}

impl Storage {
    /// Opens what the setting `store` names; None for `none`.
    ///
    /// # Errors
    /// When the database cannot be reached or its file not be opened.
    pub fn open(setting: &str) -> anyhow::Result<Option<Self>> {
        if setting == NO_STORE {
            return Ok(None);
        }
        let runtime = Builder::new_current_thread().enable_all().build().context("the store's thread")?;
        let opened = runtime.block_on(async { tokio::time::timeout(OPEN_TIME, Store::open(setting)).await });
        let store = match opened {
            Ok(opened) => opened.context("store")?,
            Err(_) => {
                anyhow::bail!("store: no answer within {} seconds: is the database up?", OPEN_TIME.as_secs())
            }
        };
        let handle = runtime.handle().clone();
        // Connections belong to the runtime that made them, so it lives as long as the process.
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .context("the store's thread")?;
        Ok(Some(Self { store, runtime: handle }))
    }

    /// Runs work for the store on its thread and waits for it: only where no request runs.
    ///
    /// # Errors
    /// When the work panicked.
    pub fn wait_for<F>(&self, work: F) -> anyhow::Result<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.spawn(async move {
            // Whoever waits is there until it comes.
            let _ = sender.send(work.await);
        });
        receiver.recv().context("the store's thread")
    }

    /// Runs work for the store on its thread.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(work)
    }
}
