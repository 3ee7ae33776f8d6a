//! Waits to the microsecond. The runtime's own timers go off on whole milliseconds, which at the lag that is told here,
//! and at sign-ins that take less, is most of what would be measured.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use tokio::net::unix::pipe;
use tokio::time::Instant;

/// A timer of the kernel's own. It is read like a pipe, and a pipe's end is what the runtime can wait for of any such
/// descriptor without unsafe code.
#[derive(Debug)]
pub(crate) struct Alarm(pipe::Receiver);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Self(pipe::Receiver::from_owned_fd_unchecked(timer)?))
    }

    /// Waits until this moment; not at all if it is past.
    pub(crate) async fn until(&mut self, at: Instant) -> io::Result<()> {
        let wait = at.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec::try_from(wait).map_err(io::Error::other)?,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut [0; 8]) {
                // Readiness from before it was set again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(|_| ()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn it_goes_off_at_its_time_again_and_again_and_not_before() {
        let mut alarm = Alarm::new().unwrap();
        let began = Instant::now();
        for step in 1..=20 {
            let at = began + Duration::from_micros(300) * step;
            alarm.until(at).await.unwrap();
            assert!(Instant::now() >= at);
        }
        alarm.until(began).await.unwrap();
    }
}
