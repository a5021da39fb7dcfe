//! Asks the kernel for a short turn: a thread on whose answer clients and peers wait should run soon after it is woken, for a moment,
//! rather than late and long.
//!
//! Since Linux 6.12 a task of the fair class may name its slice, and one with a shorter slice may interrupt one with a longer slice when
//! it wakes (EEVDF, `sched_attr.sched_runtime`). It gets no more of the processor in all, and needs no privilege. On a busy machine that
//! takes a commit from several milliseconds to below one. Older kernels ignore it.

#![allow(unsafe_code, reason = "no maintained crate wraps sched_setattr for the fair class")]

/// What the kernel gives at least, nanoseconds.
const SLICE_NANOS: u64 = 100_000;

/// Makes the calling thread prefer short turns. A refusal changes nothing.
pub(crate) fn prefer_latency() {
    let nice = rustix::process::getpriority_process(None).unwrap_or(0);
    let size = size_of::<libc::sched_attr>();
    let attributes = libc::sched_attr {
        size: u32::try_from(size).unwrap_or(0),
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE_NANOS,
        sched_deadline: 0,
        sched_period: 0,
    };
    const THIS_THREAD: libc::pid_t = 0;
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: the kernel reads `size` bytes of the structure, which lives until the call returns, and writes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, THIS_THREAD, &raw const attributes, NO_FLAGS) };
    if result != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "the scheduler grants no short slice");
    }
}
