//! Which part of a list is wanted, in which order, and whose: the same for every list.

use super::problem::Problem;
use serde::Deserialize;
use utoipa::IntoParams;

/// Entries on a page if nothing is said.
const PAGE: usize = 100;
/// The most on a page.
const LARGEST_PAGE: usize = 1_000;

/// The query of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only what belongs to this tenant, by name or id.
    pub(crate) tenant: Option<String>,
    /// Only what has this text in its name.
    pub(crate) q: Option<String>,
    /// How many entries; at most 1,000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<usize>,
    /// How many to leave out first.
    #[param(minimum = 0, default = 0)]
    pub(crate) offset: Option<usize>,
    /// The field to sort by; `-field` sorts downwards.
    pub(crate) sort: Option<String>,
}

/// How two entries of a list stand to each other.
pub(crate) type Comparison<T> = fn(&T, &T) -> std::cmp::Ordering;

/// Which part of a list is wanted, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window<'a> {
    /// The field to sort by; none for the first of those there are.
    pub(crate) field: Option<&'a str>,
    pub(crate) downwards: bool,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// A page of a list: `total` counts the whole list.
pub(crate) struct Page<T> {
    pub(crate) total: usize,
    pub(crate) entries: Vec<T>,
}

impl ListQuery {
    /// Whether a thing of this name, of this tenant (its name and id; none for what is everybody's), is asked for.
    pub(crate) fn wants(&self, name: &str, tenant: Option<(&str, &str)>) -> bool {
        self.wants_name(name) && self.wants_tenant(tenant)
    }

    /// Whether things of this name are asked for.
    pub(crate) fn wants_name(&self, name: &str) -> bool {
        self.q.as_deref().is_none_or(|part| name.contains(part))
    }

    /// Whether what belongs to this tenant (its name and id; none for what is everybody's) is asked for.
    pub(crate) fn wants_tenant(&self, tenant: Option<(&str, &str)>) -> bool {
        self.tenant
            .as_deref()
            .is_none_or(|asked| tenant.is_some_and(|(name, id)| asked == name || asked == id))
    }

    /// The part that is asked for, of a list that can be sorted by `fields`.
    ///
    /// # Errors
    /// A field that is none, or a limit out of range.
    pub(crate) fn window<'a>(
        &self,
        fields: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Window<'a>, Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(Problem::bad_request(format!(
                "limit must be from 1 to {LARGEST_PAGE}"
            )));
        }
        let (name, downwards) = match self.sort.as_deref() {
            None => (None, false),
            Some(name) => match name.strip_prefix('-') {
                Some(name) => (Some(name), true),
                None => (Some(name), false),
            },
        };
        let field = match name {
            None => None,
            Some(name) => match fields.clone().find(|field| *field == name) {
                Some(field) => Some(field),
                None => {
                    let known: Vec<&str> = fields.collect();
                    return Err(Problem::bad_request(format!(
                        "sort: there is no such field here; it can be sorted by {}",
                        known.join(", ")
                    )));
                }
            },
        };
        Ok(Window {
            field,
            downwards,
            offset: self.offset.unwrap_or(0),
            limit,
        })
    }

    /// Sorts and cuts a list. `fields` are the names it can be sorted by, each with its comparison; the first is the order
    /// if nothing is said.
    ///
    /// # Errors
    /// A field that is none, or a limit out of range.
    pub(crate) fn page<T>(
        &self,
        mut entries: Vec<T>,
        fields: &[(&str, Comparison<T>)],
    ) -> Result<Page<T>, Problem> {
        let window = self.window(fields.iter().map(|(name, _)| *name))?;
        let compare = match window.field {
            None => fields.first(),
            Some(name) => fields.iter().find(|(field, _)| *field == name),
        };
        if let Some((_, compare)) = compare {
            entries.sort_by(compare);
        }
        if window.downwards {
            entries.reverse();
        }
        let total = entries.len();
        let entries = entries.into_iter().skip(window.offset).take(window.limit);
        Ok(Page {
            total,
            entries: entries.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<(usize, Vec<u32>), Problem> {
        let query = axum::extract::Query::<ListQuery>::try_from_uri(
            &format!("http://host.example.test/?{query}")
                .parse()
                .unwrap(),
        )
        .unwrap()
        .0;
        let page = query.page(vec![3, 1, 2], &[("value", |a: &u32, b: &u32| a.cmp(b))])?;
        Ok((page.total, page.entries))
    }

    #[test]
    fn a_page_is_cut_from_the_sorted_list_and_says_how_long_that_is() {
        assert_eq!(page("").unwrap(), (3, vec![1, 2, 3]));
        assert_eq!(page("sort=-value&limit=2").unwrap(), (3, vec![3, 2]));
        assert_eq!(page("sort=value&offset=2").unwrap(), (3, vec![3]));
        assert_eq!(page("offset=9").unwrap(), (3, vec![]));
    }

    #[test]
    fn an_order_that_there_is_not_and_a_page_too_large_are_refused() {
        let refused = page("sort=colour").unwrap_err();
        assert!(
            refused.detail.contains("sorted by value"),
            "{}",
            refused.detail
        );
        assert_eq!(page("limit=0").unwrap_err().status, 400);
        assert_eq!(page("limit=1001").unwrap_err().status, 400);
    }
}
