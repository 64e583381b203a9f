"""The heat map shows what moved, and tells what it leaves out."""

from tfx_loop.presentation.heat_map import MOST_COLUMNS, SHOWN, HeatCell, HeatColumn, heat_map


def column(name, short="", **cells):
    return HeatColumn(name=name, short=short, cells=cells)


def test_a_map_without_features_is_nothing():
    assert heat_map([], "drift") == ""
    assert heat_map([column("april")], "drift") == ""


def test_what_alarmed_most_often_comes_first_and_then_what_moved_farthest():
    often = {"low": HeatCell(psi=0.1, drifted=True), "high": HeatCell(psi=2.0)}
    page = heat_map([column("a", **often), column("b", middle=HeatCell(psi=0.5))], "drift")
    assert page.index(">low<") < page.index(">high<") < page.index(">middle<")
    assert "alarm in 1 of 1" in page
    assert page.count("no alarm") == 2


def test_a_column_is_named_in_full_where_the_pointer_rests_and_shortly_below_it():
    page = heat_map([column("2013-09", "Sep", x=HeatCell(fault="stuck_value"))], "drift")
    assert "<title>x, 2013-09: stuck value</title>" in page
    assert ">Sep</text>" in page
    assert ">2013-09</text>" not in page


def test_names_turn_where_columns_are_narrow():
    wide = [column(f"w{i}", x=HeatCell(psi=0.0)) for i in range(5)]
    narrow = [column(f"w{i}", x=HeatCell(psi=0.0)) for i in range(20)]
    assert "rotate(" not in heat_map(wide, "drift")
    assert "rotate(" in heat_map(narrow, "drift")


def test_the_last_columns_and_the_first_features_are_drawn_and_the_rest_counted():
    many = [column(f"w{i:02}", x=HeatCell(psi=0.3)) for i in range(MOST_COLUMNS + 1)]
    page = heat_map(many, "drift")
    assert "x, w00" not in page
    assert f"x, w{MOST_COLUMNS:02}" in page
    features = {f"f{i:02}": HeatCell(psi=0.1) for i in range(SHOWN + 3)}
    assert "and 3 features more" in heat_map([column("w", **features)], "drift")
