//! Clocks and randomness, read in one place.

use crate::domain::event::RunId;
use chrono::{DateTime, FixedOffset, Local};

/// Wall-clock time with the host's offset.
#[must_use]
pub fn now() -> DateTime<FixedOffset> {
    Local::now().fixed_offset()
}

/// Nanoseconds of `CLOCK_BOOTTIME`: monotonic, goes on during suspend, comparable within one boot.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanoseconds.unwrap_or(0)
}

/// The kernel's boot id, or empty where it can't be read.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// A fresh run id.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn random_run_id() -> std::io::Result<RunId> {
    let mut bytes = [0u8; 8];
    let read = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if read != bytes.len() {
        return Err(std::io::Error::other("the kernel gave too few random bytes"));
    }
    Ok(RunId::from_random(u64::from_le_bytes(bytes)))
}
