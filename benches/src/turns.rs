//! The order in which subjects run in a round.

/// Every other round goes in the opposite order, and every second one begins with another subject:
/// none always runs after the same one, or at the same beat of whatever else the machine does.
pub(crate) fn turns(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let place = if round % 2 == 0 {
            turn
        } else {
            count - 1 - turn
        };
        (place + round / 2) % count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_have_a_turn_in_every_round_and_each_begins_one() {
        let rounds: Vec<Vec<usize>> = (0..6).map(|round| turns(3, round).collect()).collect();
        for mut round in rounds.clone() {
            round.sort_unstable();
            assert_eq!(round, [0, 1, 2]);
        }
        let mut first: Vec<usize> = rounds.iter().map(|round| round[0]).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first, [0, 1, 2]);
    }
}
