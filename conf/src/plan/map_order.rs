//! Which maps refer to which, and what is behind them.

use switchback_value::Variable;

use super::maps::MapPlan;

/// Maps may refer to one another so often in a row.
const MAX_NESTING: usize = 64;

/// Follows maps to those they refer to.
pub(super) struct Walk {
    uses: Vec<Uses>,
    /// The variables that each asks for, itself or through others; `None` where nobody has gone yet.
    behind: Vec<Option<Vec<Variable>>>,
    /// How many maps in a row each refers to.
    heights: Vec<usize>,
    /// The maps on the way.
    path: Vec<usize>,
}

/// Why maps cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Each of these refers to the next, and the last to the first.
    Circle(Vec<usize>),
    /// There are more in a row than this.
    TooDeep(usize),
}

/// The maps that one refers to, and the other variables.
#[derive(Clone, Default)]
struct Uses {
    maps: Vec<usize>,
    others: Vec<Variable>,
}

impl Uses {
    fn of(plan: &MapPlan) -> Self {
        let mut uses = Self::default();
        for variable in plan.key.variables().chain(plan.table.variables()) {
            match variable {
                Variable::Map { index, .. } => uses.maps.push(*index as usize),
                _ => uses.others.push(variable.clone()),
            }
        }
        uses.maps.sort_unstable();
        uses.maps.dedup();
        uses
    }
}

impl Walk {
    pub(super) fn new(plans: &[Option<MapPlan>]) -> Self {
        Self::along(plans.iter().map(|plan| plan.as_ref().map(Uses::of).unwrap_or_default()))
    }

    fn along(uses: impl Iterator<Item = Uses>) -> Self {
        let uses: Vec<_> = uses.collect();
        let count = uses.len();
        Self { uses, behind: vec![None; count], heights: vec![0; count], path: Vec::new() }
    }

    /// Goes from one map as far as there is a way. Of several troubles the first is told, and none a second time.
    pub(super) fn visit(&mut self, index: usize) -> Result<(), Trouble> {
        if self.behind.get(index).is_none_or(Option::is_some) {
            return Ok(());
        }
        if let Some(first) = self.path.iter().position(|own| *own == index) {
            let circle = self.path.get(first..).unwrap_or_default();
            return Err(Trouble::Circle(circle.to_vec()));
        }
        if self.path.len() >= MAX_NESTING {
            return Err(Trouble::TooDeep(MAX_NESTING));
        }
        let Uses { maps, mut others } = self.uses.get(index).cloned().unwrap_or_default();
        let mut height = 0;
        let mut found = Ok(());
        self.path.push(index);
        for map in maps {
            found = found.and(self.visit(map));
            others.extend(self.behind.get(map).cloned().flatten().unwrap_or_default());
            height = height.max(self.heights.get(map).map_or(0, |height| height + 1));
        }
        self.path.pop();
        others.sort_by_cached_key(ToString::to_string);
        others.dedup();
        if let Some(behind) = self.behind.get_mut(index) {
            *behind = Some(others);
        }
        if let Some(own) = self.heights.get_mut(index) {
            *own = height;
        }
        let depth = if height < MAX_NESTING { Ok(()) } else { Err(Trouble::TooDeep(MAX_NESTING)) };
        found.and(depth)
    }

    /// The variables behind each map.
    pub(super) fn into_behind(self) -> Vec<Vec<Variable>> {
        self.behind.into_iter().map(Option::unwrap_or_default).collect()
    }
}

#[cfg(test)]
mod tests {
    use switchback_value::Known;

    use super::*;

    fn walk(uses: &[&[usize]]) -> Walk {
        let known = |index: usize| Variable::Known(Known::ALL[index % 3]);
        let uses = uses.iter().enumerate();
        Walk::along(
            uses.map(|(index, maps)| Uses { maps: maps.to_vec(), others: vec![known(index)] }),
        )
    }

    fn visit_all(walk: &mut Walk) -> Vec<Trouble> {
        (0..walk.uses.len()).filter_map(|index| walk.visit(index).err()).collect()
    }

    #[test]
    fn what_is_behind_a_map_is_behind_those_that_refer_to_it() {
        let mut walk = walk(&[&[1, 2], &[2], &[]]);
        assert_eq!(visit_all(&mut walk), []);
        let behind: Vec<usize> = walk.into_behind().iter().map(Vec::len).collect();
        assert_eq!(behind, [3, 2, 1]);
    }

    #[test]
    fn a_circle_is_told_once_with_its_way() {
        assert_eq!(visit_all(&mut walk(&[&[0]])), [Trouble::Circle(vec![0])]);
        let mut off_the_way = walk(&[&[1], &[2], &[3], &[1], &[2]]);
        assert_eq!(visit_all(&mut off_the_way), [Trouble::Circle(vec![1, 2, 3])]);
        let mut two = walk(&[&[1], &[0], &[3], &[2]]);
        let circles = [Trouble::Circle(vec![0, 1]), Trouble::Circle(vec![2, 3])];
        assert_eq!(visit_all(&mut two), circles);
    }

    #[test]
    fn a_row_has_an_end_from_whichever_side_it_is_followed() {
        let row = |length: usize, step: fn(usize) -> usize| -> Vec<Vec<usize>> {
            (0..length).map(|index| vec![step(index)]).collect()
        };
        for step in [|index| index + 1, |index: usize| index.wrapping_sub(1)] {
            for (length, is_fine) in [(MAX_NESTING, true), (MAX_NESTING + 1, false)] {
                let row = row(length, step);
                let row: Vec<&[usize]> = row.iter().map(Vec::as_slice).collect();
                assert_eq!(visit_all(&mut walk(&row)).is_empty(), is_fine, "{length}");
            }
        }
    }
}
