//! A straight line through measured points.

/// The line of least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// By how much it rises for each unit.
    pub slope: f64,
    /// Which share of the variance it explains.
    pub r2: f64,
}

impl Fit {
    /// Through these points; without two different ones there is none.
    pub(super) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let sum = |of: fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|(x, y)| of(x - mean_x, y - mean_y)).sum()
        };
        let (xx, xy, yy) = (sum(|x, _| x * x), sum(|x, y| x * y), sum(|_, y| y * y));
        if xx == 0.0 || !xx.is_finite() {
            return None;
        }
        let r2 = if yy == 0.0 { 1.0 } else { xy * xy / (xx * yy) };
        Some(Self { slope: xy / xx, r2 })
    }
}

#[cfg(test)]
mod tests {
    use super::Fit;

    #[test]
    fn a_straight_line_is_explained_whole() {
        let fit = Fit::through(&[(0.0, 5.0), (1.0, 7.0), (3.0, 11.0)]).unwrap();
        assert!((fit.slope - 2.0).abs() < 1e-12 && (fit.r2 - 1.0).abs() < 1e-12, "{fit:?}");
    }

    #[test]
    fn scattered_points_are_explained_in_part() {
        let fit = Fit::through(&[(0.0, 0.0), (1.0, 2.0), (2.0, 1.0), (3.0, 3.0)]).unwrap();
        assert!((fit.slope - 0.8).abs() < 1e-12 && (fit.r2 - 0.64).abs() < 1e-12, "{fit:?}");
    }

    #[test]
    fn one_point_is_no_line() {
        assert_eq!(Fit::through(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(Fit::through(&[]), None);
    }
}
