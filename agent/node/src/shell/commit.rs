//! The commit thread: takes all that queued while the last commit was in flight, one flush, acknowledges all of it.
//!
//! Must not know: what a record means. Read first: [`Job`], [`CommitHandle`].

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use streamkeeper_base::Durable;
use streamkeeper_member::commit::Committer;
use streamkeeper_member::io::Ticket;
use streamkeeper_member::record::Owner;
use streamkeeper_storage::disk::DiskFile;

use super::scheduling;

/// A record to be appended.
pub(crate) struct Record {
    pub(crate) ticket: Ticket,
    pub(crate) kind: u8,
    pub(crate) payload: Vec<Bytes>,
}

/// What the commit thread is asked to do.
enum Job {
    Append { owner: Owner, records: Vec<Record> },
    Release { owner: Owner, below: Ticket },
    Sync { files: Vec<Arc<dyn DiskFile>>, done: Box<dyn FnOnce() + Send> },
    Stop,
}

/// Where the thread reports; called on the commit thread.
pub(crate) struct Completions {
    pub(crate) coordination: Box<dyn Fn(Durable<Ticket>) + Send>,
    pub(crate) broker: Box<dyn Fn(Durable<Ticket>) + Send>,
    /// A flush failed: nothing may be acknowledged any more (never retried and trusted, storage.md 5).
    pub(crate) fatal: Box<dyn Fn(String) + Send>,
}

/// Sends jobs to the commit thread.
#[derive(Clone)]
pub(crate) struct CommitHandle {
    jobs: Sender<Job>,
    syncs: Sender<Job>,
}

impl CommitHandle {
    /// Appends records as one job, so that they go into one group: a commit that began with the first of them alone would make the
    /// others wait for a second one.
    pub(crate) fn append(&self, owner: Owner, records: Vec<Record>) {
        // A closed channel means that the process is already stopping.
        let _ = self.jobs.send(Job::Append { owner, records });
    }

    pub(crate) fn release(&self, owner: Owner, below: Ticket) {
        let _ = self.jobs.send(Job::Release { owner, below });
    }

    /// Flushes files on the background thread, then calls `done` there.
    pub(crate) fn sync(&self, files: Vec<Arc<dyn DiskFile>>, done: Box<dyn FnOnce() + Send>) {
        let _ = self.syncs.send(Job::Sync { files, done });
    }

    pub(crate) fn stop(&self) {
        let _ = self.jobs.send(Job::Stop);
        let _ = self.syncs.send(Job::Stop);
    }
}

/// Starts the commit thread and the background thread.
pub(crate) fn start(
    committer: Committer,
    completions: Completions,
) -> std::io::Result<(CommitHandle, [JoinHandle<()>; 2])> {
    let (jobs, job_queue) = channel();
    let (syncs, sync_queue) = channel();
    let commit = std::thread::Builder::new().name("commit".to_owned()).spawn(move || {
        CommitThread { committer, completions }.run(&job_queue);
    })?;
    let background = std::thread::Builder::new()
        .name("background".to_owned())
        .spawn(move || run_background(&sync_queue))?;
    Ok((CommitHandle { jobs, syncs }, [commit, background]))
}

struct CommitThread {
    committer: Committer,
    completions: Completions,
}

impl CommitThread {
    fn run(mut self, jobs: &Receiver<Job>) {
        scheduling::prefer_latency();
        while let Some(first) = self.next(jobs) {
            let mut going_on = self.take(first);
            while let Ok(job) = jobs.try_recv() {
                going_on &= self.take(job);
            }
            if let Err(reason) = self.commit() {
                (self.completions.fatal)(reason);
                return;
            }
            if !going_on {
                return;
            }
        }
    }

    /// The next job. While there is none the log makes ready what later commits would have to wait for.
    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        let mut more = true;
        loop {
            match jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if !more => return jobs.recv().ok(),
                Err(TryRecvError::Empty) => match self.committer.prepare() {
                    Ok(went_on) => more = went_on,
                    Err(error) => {
                        (self.completions.fatal)(error.to_string());
                        return None;
                    }
                },
            }
        }
    }

    /// False when it is time to stop.
    fn take(&mut self, job: Job) -> bool {
        match job {
            Job::Append { owner, records } => {
                for record in records {
                    self.committer.append(owner, record.ticket, record.kind, &record.payload);
                }
                true
            }
            Job::Release { owner, below } => {
                self.committer.release(owner, below);
                true
            }
            Job::Sync { done, .. } => {
                done();
                true
            }
            Job::Stop => false,
        }
    }

    fn commit(&mut self) -> Result<(), String> {
        let committed = self.committer.commit().map_err(|error| error.to_string())?;
        committed.coordination.into_iter().for_each(&self.completions.coordination);
        committed.broker.into_iter().for_each(&self.completions.broker);
        Ok(())
    }
}

fn run_background(jobs: &Receiver<Job>) {
    while let Ok(Job::Sync { files, done }) = jobs.recv() {
        if let Some(error) = files.iter().find_map(|file| file.sync_data().err()) {
            tracing::error!(%error, "a flush failed; the member stops, because what it holds in memory may not be on disk");
            std::process::exit(70);
        }
        done();
    }
}
