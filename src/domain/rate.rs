//! How fast something moves, and how long the rest takes: for bytes of a restore and for WAL bytes of a replay.
//!
//! Times are arguments (monotonic seconds): nothing here reads a clock.

/// What happened longer ago than this many seconds hardly counts any more.
const MEMORY_SECONDS: f64 = 10.0;

/// A smoothed rate. Feed it with readings of a position that grows; it forgets slowly, so that one slow file does not
/// make the time left jump.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    last: Option<(f64, u64)>,
    /// Bytes and seconds, both weighted by how long ago they were: the rate is their ratio.
    bytes: f64,
    seconds: f64,
}

impl Rate {
    /// Takes in a reading: at `seconds` (monotonic) the position was `bytes`. A reading that is not later than the one
    /// before is passed over; a position that went back (another start) begins anew.
    pub fn observe(&mut self, seconds: f64, bytes: u64) {
        let Some((last_seconds, last_bytes)) = self.last else {
            self.last = Some((seconds, bytes));
            return;
        };
        let passed = seconds - last_seconds;
        // false for NaN as well
        let later = passed > 0.0 && passed.is_finite();
        if !later {
            return;
        }
        if bytes < last_bytes {
            *self = Rate { last: Some((seconds, bytes)), ..Rate::default() };
            return;
        }
        let kept = (-passed / MEMORY_SECONDS).exp();
        self.bytes = self.bytes * kept + (bytes - last_bytes) as f64;
        self.seconds = self.seconds * kept + passed;
        self.last = Some((seconds, bytes));
    }

    /// Bytes a second; `None` before there are two readings.
    #[must_use]
    pub fn bytes_per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.bytes / self.seconds)
    }

    /// Seconds until `total` is reached at this rate; `None` while nothing moves, 0 behind the end.
    #[must_use]
    pub fn seconds_left(&self, total: u64) -> Option<f64> {
        let (_, position) = self.last?;
        let rest = total.saturating_sub(position) as f64;
        if rest == 0.0 {
            return Some(0.0);
        }
        // slower than a byte a second is standing still
        self.bytes_per_second().filter(|rate| *rate >= 1.0).map(|rate| rest / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(readings: &[(f64, u64)]) -> Rate {
        let mut rate = Rate::default();
        readings.iter().for_each(|(seconds, bytes)| rate.observe(*seconds, *bytes));
        rate
    }

    #[test]
    fn a_steady_rate_is_exact() {
        let rate = after(&[(5.0, 0), (5.1, 100), (6.0, 1000), (8.0, 3000)]);
        assert!((rate.bytes_per_second().unwrap_or(0.0) - 1000.0).abs() < 1e-6);
        assert!((rate.seconds_left(13_000).unwrap_or(0.0) - 10.0).abs() < 1e-6);
        assert_eq!(rate.seconds_left(3000), Some(0.0));
    }

    #[test]
    fn nothing_is_known_of_one_reading_or_of_standing_still() {
        assert_eq!(Rate::default().seconds_left(1), None);
        assert_eq!(after(&[(1.0, 5)]).bytes_per_second(), None);
        assert_eq!(after(&[(1.0, 5), (2.0, 5)]).seconds_left(10), None);
        assert_eq!(after(&[(1.0, 5), (1.0, 9), (f64::NAN, 10)]).bytes_per_second(), None);
    }

    #[test]
    fn a_stall_makes_it_slower_little_by_little() {
        let mut rate = after(&[(0.0, 0), (10.0, 10_000)]);
        let mut before = 1000.0;
        for second in 11..60 {
            rate.observe(f64::from(second), 10_000);
            let now = rate.bytes_per_second().unwrap_or(0.0);
            assert!(now < before);
            before = now;
        }
        assert!(before < 20.0, "{before}");
    }

    #[test]
    fn another_start_begins_anew() {
        let rate = after(&[(0.0, 0), (1.0, 1000), (2.0, 10), (3.0, 20)]);
        assert_eq!(rate.bytes_per_second(), Some(10.0));
    }

    proptest! {
        #[test]
        fn it_lies_between_the_slowest_and_the_fastest(steps in proptest::collection::vec((1u64..1000, 0u64..1_000_000), 1..50)) {
            let mut rate = Rate::default();
            let (mut seconds, mut bytes) = (0.0, 0);
            rate.observe(seconds, bytes);
            let mut rates: Vec<f64> = Vec::new();
            for (milliseconds, more) in steps {
                seconds += milliseconds as f64 / 1000.0;
                bytes += more;
                rates.push(more as f64 / (milliseconds as f64 / 1000.0));
                rate.observe(seconds, bytes);
            }
            let now = rate.bytes_per_second().unwrap_or(-1.0);
            let (least, most) = rates.iter().fold((f64::MAX, 0f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
            prop_assert!(now >= least * 0.999 - 1e-6 && now <= most * 1.001 + 1e-6, "{least} {now} {most}");
        }
    }
}
