"""Admin lists of tables with millions of rows, whose queries read a bounded number of rows."""

from typing import Any
from uuid import UUID

from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet, UUIDField
from django.http import HttpRequest
from django.utils.functional import cached_property

from compute_horde.django.read_only_admin import ReadOnlyAdmin

COUNTED_ROWS = 2_000
SEARCHED_ROWS = 20_000


class BoundedPaginator(Paginator):
    """Counts rows up to `COUNTED_ROWS`; pages beyond them are not offered."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most `COUNTED_ROWS`."""
        # Keeps the order, so that rows are read from where the list begins.
        rows: Any = self.object_list[:COUNTED_ROWS]
        return int(rows.count())


class LargeChangeList(ChangeList):
    """A list whose filters and search look at the newest `SEARCHED_ROWS` rows.

    What an index finds is looked up in the whole table: rows whose `exact_fields` equal the search
    text, filters by the fields in `indexed_filters` only, and all filters besides one by a field in
    `bounding_filters`.
    """

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> QuerySet[Any, Any]:
        """The rows to list."""
        page: Any = self.model_admin
        everything, searched = self.root_queryset, self.query
        rows = everything.defer(*page.unlisted_fields)
        exact = exactly(everything, page.exact_fields, searched.strip()) if searched else None
        filters = {parameter.split("__")[0] for parameter in self.get_filters_params()}
        if exact is not None:
            self.query, rows = "", rows.filter(**exact)
        elif searched or not page.finds_quickly(filters):
            rows = newest(rows, page.newest_by)
        self.root_queryset = rows
        try:
            return super().get_queryset(request, exclude_parameters)
        finally:
            self.root_queryset, self.query = everything, searched


def exactly(
    rows: QuerySet[Any, Any], fields: tuple[str, ...], text: str
) -> dict[str, str | UUID] | None:
    """The condition that one of the indexed `fields` equals `text`, if any row fulfils it."""
    for name in fields:
        value: str | UUID = text
        field: Any = rows.model._meta.get_field(name)
        if isinstance(field.target_field if field.is_relation else field, UUIDField):
            try:
                value = UUID(text)
            except ValueError:
                continue
        if rows.order_by().filter(**{name: value}).exists():
            return {name: value}
    return None


def newest(rows: QuerySet[Any, Any], field: str) -> QuerySet[Any, Any]:
    """The newest `SEARCHED_ROWS` of `rows` by the indexed `field`."""
    values = rows.order_by(f"-{field}").values_list(field, flat=True)
    first_left_out = values[SEARCHED_ROWS : SEARCHED_ROWS + 1].first()
    return rows if first_left_out is None else rows.filter(**{f"{field}__gt": first_left_out})


class LargeListAdmin(ReadOnlyAdmin):
    """The read-only admin of a table with millions of rows."""

    # Indexed, and growing with time.
    newest_by = "created_at"
    exact_fields: tuple[str, ...] = ()
    indexed_filters: tuple[str, ...] = ()
    # Indexed, and each value is that of few rows: with one of them, other filters cost little.
    bounding_filters: tuple[str, ...] = ()
    # Long columns that the list does not show.
    unlisted_fields: tuple[str, ...] = ()

    show_full_result_count = False
    # Counting the rows of each filter's choices reads the whole table.
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator
    search_help_text = (
        "What is entered completely, such as a UUID, is found in all rows; "
        f"parts of it, and filters, in the newest {SEARCHED_ROWS:,}."
    )

    def finds_quickly(self, filters: set[str]) -> bool:
        """Whether an index finds the rows of these filters."""
        return filters <= {*self.indexed_filters} or not filters.isdisjoint(self.bounding_filters)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list with bounds."""
        return LargeChangeList

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        """Only the column that an index sorts."""
        return (self.newest_by,)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first."""
        return (f"-{self.newest_by}",)
