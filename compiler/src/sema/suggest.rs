//! "Did you mean": the known name nearest to one that is not known.

/// The longest name that is compared.
const LONGEST: usize = 48;

/// The candidate nearest to `name` in edit distance, if it is near; the first of several.
pub(super) fn nearest<'n>(name: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let length = name.chars().count();
    if length > LONGEST {
        return None;
    }
    let limit = if length <= 2 { 1 } else { 1 + length / 4 };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let near = candidate.len().abs_diff(name.len()) <= limit + 3 && candidate.len() <= 4 * LONGEST;
        if !near || candidate == name {
            continue;
        }
        let found = distance(name, candidate);
        let whole_name_differs = found >= length && found >= candidate.chars().count();
        if found <= limit && !whole_name_differs && best.is_none_or(|(least, _)| found < least) {
            best = Some((found, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest_name() {
        assert_eq!(nearest("sofmax", ["sum", "softmax", "softmax1"]), Some("softmax"));
        assert_eq!(nearest("siglu", ["silu", "gelu"]), Some("silu"));
        assert_eq!(nearest("q", ["n", "d"]), None);
        assert_eq!(nearest("something", ["exp", "log"]), None);
    }
}
