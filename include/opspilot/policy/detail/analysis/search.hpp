/// \file
/// Internal: the search for a row that meets demands, through cells of fields and positions of unknowns.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "opspilot/policy/detail/analysis/decider.hpp"
#include "opspilot/policy/detail/analysis/domain.hpp"
#include "opspilot/policy/detail/analysis/unknowns.hpp"

namespace opspilot::detail::analysis {

class search {
public:
    search(decider& d, std::span<const demand> demands, const std::function<bool(const frame&)>& also)
        : d_(d), demands_(demands), also_(also) {}

    finding run() {
        left_ = std::min(d_.budget, d_.question_budget);
        const std::uint64_t given = left_;
        finding out;
        out.what = set_up() ? walk(out.row) : finding::kind::unknown;
        d_.budget -= given - left_;
        return out;
    }

private:
    static constexpr std::uint32_t open = 0xFFFFFFFFU;
    static constexpr std::size_t most_attempts = 24, most_rows = 160, most_tests = 1024;

    /// A test with its places in this question.
    struct asked {
        const test* what = nullptr;
        std::vector<std::uint32_t> fields;  ///< per reading: index of a domain
        std::uint32_t unknown = open;
        std::vector<outcomes> by_cell;  ///< of one field: per cell; 0 = the unknown says
        outcomes now = anything;
    };
    /// A field or an unknown that was given a cell or a position.
    struct choice_point {
        bool field = true;
        std::uint32_t which = 0, option = 0;
    };

    bool spend(std::uint64_t work) {
        left_ -= std::min(left_, work);
        return left_ > 0;
    }

    // ---- what the question is about ----

    bool set_up() {
        std::map<std::uint32_t, std::uint32_t> number;
        for (const demand& w : demands_) {
            std::vector<std::uint32_t>& at = tests_of_.emplace_back();
            for (const std::uint32_t t : d_.conditions_[w.condition].tests) {
                const auto [known, fresh] = number.emplace(t, static_cast<std::uint32_t>(asked_.size()));
                if (fresh) asked_.push_back({&d_.library_[t], {}, open, {}, anything});
                at.push_back(known->second);
            }
        }
        if (asked_.size() > most_tests) return false;
        const bool texts_meet = find_words();
        std::map<field_id, field_use> uses;
        for (const asked& a : asked_)
            for (const reading& r : a.what->reads) {
                field_use& use = uses[r.field];
                use.field = r.field;
                if (a.what->reads.size() == 1) use.tests.push_back(a.what);
            }
        for (const auto& [f, use] : uses) {
            std::vector<std::string> constants, starts;
            texts_of(use, texts_meet, constants, starts);
            domain d;
            if (!spend(use.tests.size() * 40 + 10) || !cut(use, d_.library_, constants, starts, texts_, d)) return false;
            domains_.push_back(std::move(d));
        }
        cell_.assign(domains_.size(), open);
        for (asked& a : asked_)
            for (const reading& r : a.what->reads)
                a.fields.push_back(static_cast<std::uint32_t>(
                    std::find_if(domains_.begin(), domains_.end(), [&](const domain& d) { return d.field == r.field; }) -
                    domains_.begin()));
        // A field without a value that it could hold: no row at all.
        for (const domain& d : domains_)
            if (d.cells.empty()) impossible_ = true;
        return tables() && find_unknowns();
    }

    /// Texts the question names, for constants that texts share and for trying rows. True when texts of two fields meet.
    bool find_words() {
        bool meet = false;
        for (const asked& a : asked_) {
            if (a.what->reads.size() > 1) meet = true;
            for (const std::string& word : a.what->words)
                if (words_.size() < 64 && std::find(words_.begin(), words_.end(), word) == words_.end()) words_.push_back(word);
        }
        return meet;
    }
    void texts_of(const field_use& use, bool shared, std::vector<std::string>& constants,
                  std::vector<std::string>& starts) const {
        const auto add = [](std::vector<std::string>& to, std::string_view text) {
            if (std::find(to.begin(), to.end(), text) == to.end()) to.emplace_back(text);
        };
        for (const asked& a : asked_) {
            if (!shared && (a.what->reads.size() != 1 || a.what->reads[0].field != use.field)) continue;
            if (a.what->shape == test::form::text)
                for (const literal& l : a.what->constants) add(constants, l.value.view());
            for (const std::string_view key : a.what->keys) add(constants, key);
            if (a.what->shape == test::form::prefix) add(starts, a.what->constants[0].value.view());
            if (shared && constants.size() < 48)
                for (const reading& r : a.what->reads) {
                    if (r.field == time_of_decision) continue;
                    const std::vector<std::string>& values = d_.schema_.at(path_of(r.field)).values;
                    if (values.size() <= 24)
                        for (const std::string& value : values) add(constants, value);
                }
        }
    }

    /// What tests of one field come out as on its cells, by running them.
    bool tables() {
        std::vector<holding> value(1);
        for (asked& a : asked_) {
            if (a.fields.empty()) {
                a.now = d_.bench_.run(*a.what, {});
                continue;
            }
            if (a.fields.size() != 1) continue;
            const domain& d = domains_[a.fields[0]];
            if (!spend(d.cells.size() * 4)) return false;
            for (const cell_set& c : d.cells) {
                value[0].reset();
                if (c.what != cell_set::kind::missing) value[0] = c.sample;
                const bool fails_there = c.what == cell_set::kind::missing && a.what->reads[0].strict;
                a.by_cell.push_back(fails_there ? fails : alike(*a.what, c) ? d_.bench_.run(*a.what, value) : outcomes{0});
            }
        }
        return true;
    }
    static bool alike(const test& t, const cell_set& c) {
        if (c.fixed()) return true;
        if (c.what == cell_set::kind::range) return t.shape == test::form::chain || only_presence(t);
        if (c.what == cell_set::kind::texts)
            return (t.shape == test::form::text || t.shape == test::form::prefix || !t.keys.empty() || only_presence(t)) &&
                   c.sample.is(cel::kind::text);
        return false;
    }
    static bool only_presence(const test& t) { return t.presence; }

    bool find_unknowns() {
        for (asked& a : asked_) {
            if (a.fields.empty()) continue;
            if (a.fields.size() == 1 && std::find(a.by_cell.begin(), a.by_cell.end(), outcomes{0}) == a.by_cell.end()) continue;
            const test& t = *a.what;
            // Chains over one field are cells; what is left of the others compares a term.
            test::form shape = t.shape;
            if (shape == test::form::text || shape == test::form::prefix || shape == test::form::chain)
                shape = test::form::opaque;
            const std::string key = shape == test::form::term       ? t.subject
                                    : shape == test::form::relation ? t.subject + "\n" + t.other
                                                                    : t.key;
            const auto same = [&](const unknown& u) { return u.shape == shape && u.key == key; };
            auto at = std::find_if(unknowns_.begin(), unknowns_.end(), same);
            if (at == unknowns_.end()) {
                unknown u;
                u.shape = shape;
                u.key = key;
                at = unknowns_.insert(unknowns_.end(), std::move(u));
            }
            at->take(t);
            a.unknown = static_cast<std::uint32_t>(at - unknowns_.begin());
        }
        for (unknown& u : unknowns_) {
            bool may_fail = false;
            for (const test* t : u.tests) {
                for (const reading& r : t->reads) may_fail = may_fail || (!r.strict && d_.library_.may_be_missing(r.field));
                may_fail = may_fail || !t->total;
            }
            u.settle(may_fail);
            if (u.positions.size() > most_cells) return false;
        }
        standing_.assign(unknowns_.size(), stands_nowhere);
        return true;
    }

    // ---- outcomes under what was chosen so far ----

    [[nodiscard]] const cell_set* chosen(std::uint32_t field) const {
        return cell_[field] == open ? nullptr : &domains_[field].cells[cell_[field]];
    }

    /// Whether an unknown may stand there, given the cells of the fields of a test of it.
    [[nodiscard]] bool feasible(const asked& a, standing at) const {
        bool lost = false;  // a field is missing that the test may do without
        for (std::size_t i = 0; i < a.fields.size(); ++i) {
            const cell_set* const c = chosen(a.fields[i]);
            lost = lost || ((c == nullptr || c->what == cell_set::kind::missing) && !a.what->reads[i].strict);
        }
        if (at == stands_failing) return lost || !a.what->total;
        if (a.fields.size() == 1 && (a.what->seeking == 'c' || a.what->seeking == 'e')) return search_possible(a, at);
        if (at == stands_unordered || unknowns_[a.unknown].shape != test::form::relation) return true;
        if (!bounds_allow(a, at)) return false;
        if (!a.what->plain_texts || a.fields.size() != 2 || at != 1) return true;
        const cell_set* const first = chosen(a.fields[0]);
        const cell_set* const second = chosen(a.fields[1]);
        return first == nullptr || second == nullptr || texts_may_meet(a, *first, *second);
    }
    /// A text that ends with or contains one part contains that part's parts too.
    [[nodiscard]] bool search_possible(const asked& a, standing at) const {
        const cell_set* const c = chosen(a.fields[0]);
        if (c == nullptr || c->what != cell_set::kind::texts) return true;
        const auto follows = [](const test& from, const test& to) {  // to holds wherever from does
            return to.seeking == 'c' ? from.sought.find(to.sought) != std::string::npos
                                     : from.seeking == 'e' && from.sought.ends_with(to.sought);
        };
        const test& t = *a.what;
        if (at == standing{lapses} && t.seeking == 'c' && c->start.find(t.sought) != std::string_view::npos) return false;
        for (const asked& b : asked_) {
            if (b.what == a.what || b.unknown == open || b.fields != a.fields || standing_[b.unknown] == stands_nowhere) continue;
            const test& other = *b.what;
            if (other.seeking != 'c' && other.seeking != 'e') continue;
            const bool there = standing_[b.unknown] == standing{holds};
            if (at == standing{lapses} && there && follows(other, t)) return false;
            if (at == standing{holds} && !there && follows(t, other)) return false;
            if (at == standing{holds} && there && t.seeking == 'e' && other.seeking == 'e' && !follows(t, other) &&
                !follows(other, t))
                return false;
        }
        return true;
    }
    /// The ends of one side of a relation: by the cell of the field that it follows, else by what is known of it at all.
    [[nodiscard]] bool ends_of(const asked& a, const std::optional<chain>& way, const bounds& known, cel::detail::type_id type,
                               cel::value& low, cel::value& high) const {
        for (std::size_t i = 0; way && i < a.fields.size(); ++i) {
            const cell_set* const c = chosen(a.fields[i]);
            if (domains_[a.fields[i]].field != way->field() || c == nullptr) continue;
            if (c->what != cell_set::kind::single && c->what != cell_set::kind::range) return false;
            const chain::place first = way->at(c->low), last = way->at(c->high);
            low = way->rises() ? first.value : last.value;
            high = way->rises() ? last.value : first.value;
            return first.beyond == 0 && last.beyond == 0;
        }
        const bool whole = type == cel::detail::types::integer;
        if (!whole && type != cel::detail::types::number) return false;
        low = whole ? cel::make_integer(known.low) : cel::make_number(known.from);
        high = whole ? cel::make_integer(known.high) : cel::make_number(known.to);
        return true;
    }
    [[nodiscard]] bool bounds_allow(const asked& a, standing at) const {
        const test& t = *a.what;
        cel::value low, high, other_low, other_high;
        if (!ends_of(a, t.way, t.known, t.subject_type, low, high)) return true;
        if (!ends_of(a, t.other_way, t.other_known, t.other_type, other_low, other_high)) return true;
        if (at == 0) return cel::compare(low, other_high) == cel::ordering::less;
        if (at == 2) return cel::compare(high, other_low) == cel::ordering::greater;
        return cel::compare(low, other_high) != cel::ordering::greater && cel::compare(high, other_low) != cel::ordering::less;
    }
    /// Whether two texts may be equal, given their cells.
    [[nodiscard]] bool texts_may_meet(const asked& a, const cell_set& first, const cell_set& second) const {
        if (first.what == cell_set::kind::missing || second.what == cell_set::kind::missing) return true;
        if (first.what == cell_set::kind::single && second.what == cell_set::kind::single)
            return first.sample.view() == second.sample.view();
        const domain &one = domains_[a.fields[0]], &two = domains_[a.fields[1]];
        if (first.what == cell_set::kind::single) return contains_text(two, second, first.sample.view());
        if (second.what == cell_set::kind::single) return contains_text(one, first, second.sample.view());
        return one.starts != two.starts || first.start == second.start;
    }

    /// What the unknown leaves open for a test.
    [[nodiscard]] outcomes by_unknown(const asked& a) const {
        const unknown& u = unknowns_[a.unknown];
        if (standing_[a.unknown] != stands_nowhere) return u.outcome(*a.what, standing_[a.unknown]);
        outcomes out = 0;
        for (const standing at : u.positions)
            if (feasible(a, at)) out |= u.outcome(*a.what, at);
        return out;
    }

    [[nodiscard]] outcomes outcome_of(const asked& a) {
        if (a.fields.empty()) return a.unknown == open ? a.now : by_unknown(a);
        if (a.fields.size() == 1) {
            const std::uint32_t c = cell_[a.fields[0]];
            if (c != open) return a.by_cell[c] != 0 ? a.by_cell[c] : by_unknown(a);
            outcomes out = 0;
            for (const outcomes o : a.by_cell) out |= o != 0 ? o : by_unknown(a);
            return out;
        }
        bool all_fixed = true, may_lack = false, may_lose = false;
        for (std::size_t i = 0; i < a.fields.size(); ++i) {
            const cell_set* const c = chosen(a.fields[i]);
            const bool strict = a.what->reads[i].strict;
            if (c == nullptr) {
                all_fixed = false;
                const bool missing = d_.library_.may_be_missing(a.what->reads[i].field);
                may_lack = may_lack || (missing && strict);
                may_lose = may_lose || (missing && !strict);
                continue;
            }
            if (c->what == cell_set::kind::missing && strict) return fails;
            all_fixed = all_fixed && c->fixed();
        }
        if (all_fixed) {
            values_.clear();
            for (const std::uint32_t f : a.fields) {
                const cell_set* const c = chosen(f);
                values_.push_back(c->what == cell_set::kind::missing ? holding{} : holding{c->sample});
            }
            spend(4);
            return d_.bench_.run(*a.what, values_);
        }
        if (may_lose) return anything;
        return static_cast<outcomes>(by_unknown(a) | (may_lack ? fails : 0));
    }

    void refresh() {
        now_.clear();
        for (asked& a : asked_) {
            a.now = outcome_of(a);
            now_.push_back(a.now);
        }
    }

    // ---- the walk ----

    finding::kind walk(example& row) {
        if (impossible_) return finding::kind::none;
        bool doubtful = false;
        std::size_t attempts = 0;
        bool forward = true;
        while (true) {
            if (forward) {
                refresh();
                if (!spend(10 + asked_.size())) return finding::kind::unknown;
                choice_point next;
                const state s = look(next);
                if (s == state::leaf) {
                    if (shown(row)) return finding::kind::row;
                    doubtful = true;
                    if (++attempts >= most_attempts || left_ == 0) return finding::kind::unknown;
                }
                if (s == state::open) {
                    next.option = open;
                    path_.push_back(next);
                }
            }
            if (!advance()) return doubtful ? finding::kind::unknown : finding::kind::none;
            forward = true;
        }
    }

    enum class state : std::uint8_t { dead, leaf, open };

    /// Whether the choices so far exclude or meet all demands; otherwise what to choose next.
    state look(choice_point& next) {
        std::size_t unsettled = demands_.size();
        for (std::size_t i = 0; i < demands_.size(); ++i) {
            const condition& c = d_.conditions_[demands_[i].condition];
            local_.clear();
            for (const std::uint32_t t : tests_of_[i]) local_.push_back(now_[t]);
            combine(c.parts, local_, parts_);
            const outcomes o = parts_.back();
            if ((o & demands_[i].wanted) == 0) return state::dead;
            if ((o & ~demands_[i].wanted) == 0 || unsettled != demands_.size()) continue;
            unsettled = i;
            next = undecided(c, tests_of_[i]);
        }
        return unsettled == demands_.size() ? state::leaf : state::open;
    }

    /// From the root down to a test that is not decided, by way of parts that are not.
    [[nodiscard]] choice_point undecided(const condition& c, const std::vector<std::uint32_t>& tests) const {
        std::size_t at = c.parts.size() - 1;
        while (c.parts[at].how != junction::test) {
            const part& p = c.parts[at];
            const bool two = p.how != junction::opposite, three = p.how == junction::choice;
            at = !decided(parts_[p.a]) || !two ? p.a : !decided(parts_[p.b]) || !three ? p.b : p.c;
        }
        const asked& a = asked_[tests[c.parts[at].a]];
        for (const std::uint32_t f : a.fields)
            if (cell_[f] == open) return {true, f, 0};
        return {false, a.unknown, 0};
    }

    /// The next option of the latest choice that has one; false when all are used up.
    bool advance() {
        while (!path_.empty()) {
            choice_point& p = path_.back();
            p.option = p.option == open ? 0 : p.option + 1;
            if (p.field) {
                if (p.option < domains_[p.which].cells.size()) {
                    cell_[p.which] = p.option;
                    return true;
                }
                cell_[p.which] = open;
            } else {
                const unknown& u = unknowns_[p.which];
                const auto one = std::find_if(asked_.begin(), asked_.end(), [&](const asked& a) { return a.unknown == p.which; });
                while (p.option < u.positions.size() && !feasible(*one, u.positions[p.option])) ++p.option;
                if (p.option < u.positions.size()) {
                    standing_[p.which] = u.positions[p.option];
                    return true;
                }
                standing_[p.which] = stands_nowhere;
            }
            path_.pop_back();
        }
        return false;
    }

    // ---- rows ----

    /// Tries rows of the cells chosen until one shows, by the scalar machine, what the demands ask for.
    bool shown(example& row) {
        std::vector<std::vector<holding>> tries(domains_.size());
        std::vector<char> varied(domains_.size(), 0);
        for (const asked& a : asked_)
            if (a.unknown != open && standing_[a.unknown] != stands_nowhere)
                for (const std::uint32_t f : a.fields) varied[f] = 1;
        for (std::uint32_t f = 0; f < domains_.size(); ++f) candidates(f, varied[f] != 0, tries[f]);
        std::vector<std::size_t> at(domains_.size(), 0);
        for (std::size_t count = 0; count < most_rows; ++count) {
            std::map<field_id, holding> held;
            for (std::size_t f = 0; f < domains_.size(); ++f) held[domains_[f].field] = tries[f][at[f]];
            if (!spend(120)) return false;
            if (confirmed(held, row)) return true;
            std::size_t f = 0;
            while (f < at.size() && ++at[f] == tries[f].size()) at[f++] = 0;
            if (f == at.size()) return false;
        }
        return false;
    }

    bool confirmed(const std::map<field_id, holding>& held, example& row) {
        frame f;
        if (!d_.maker_.make(held, row) || !d_.maker_.read(row, f)) return false;
        for (const demand& w : demands_)
            if ((d_.evaluate(w.condition, f) & w.wanted) == 0) return false;
        return also_ == nullptr || also_(f);
    }

    /// Values of a field to try; the first reads best.
    void candidates(std::uint32_t f, bool many, std::vector<holding>& out) {
        const domain& d = domains_[f];
        const cell_set& c = d.cells[cell_[f] == open ? 0 : cell_[f]];
        switch (c.what) {
            case cell_set::kind::missing: out.emplace_back(); break;
            case cell_set::kind::single: out.emplace_back(c.sample); break;
            case cell_set::kind::range: numbers(f, c, many, out); break;
            case cell_set::kind::texts: texts(f, c, many, out); break;
            case cell_set::kind::lists: lists(f, out); break;
        }
        if (out.empty()) out.emplace_back();
    }
    void numbers(std::uint32_t f, const cell_set& c, bool many, std::vector<holding>& out) const {
        out.emplace_back(c.sample);
        if (!many) return;
        const field_type type = domains_[f].type;
        const std::uint64_t low = rank_of(c.low), high = rank_of(c.high);
        const auto add = [&](std::uint64_t r) {
            if (r >= low && r <= high) out.emplace_back(value_at(r, type));
        };
        // What other fields of the question hold, and their neighbours.
        for (std::uint32_t o = 0; o < domains_.size(); ++o) {
            if (o == f || domains_[o].type != type || cell_[o] == open) continue;
            const cell_set& theirs = domains_[o].cells[cell_[o]];
            if (theirs.what != cell_set::kind::single && theirs.what != cell_set::kind::range) continue;
            const std::uint64_t r = rank_of(theirs.sample);
            for (const std::uint64_t near : {r, r + 1, r - 1}) add(near);
        }
        // Around the constants that terms are compared with.
        if (type == field_type::number || type == field_type::integer)
            for (const unknown& u : unknowns_)
                for (const literal& l : u.constants) {
                    const double at = l.value.is(cel::kind::number)    ? l.value.number
                                      : l.value.is(cel::kind::integer) ? static_cast<double>(l.value.integer)
                                                                       : 0;
                    if (!(std::abs(at) < 1e15) || out.size() > 48) continue;
                    for (const double x : {at, at / 2, at * 2, at + 1, at - 1, 0.0})
                        add(rank_of(type == field_type::number ? cel::make_number(x)
                                                               : cel::make_integer(static_cast<std::int64_t>(x))));
                }
        const std::uint64_t sample = rank_of(c.sample);
        for (const std::uint64_t r : {low, high, sample + 1, sample - 1, low + (high - low) / 2}) add(r);
        if (type == field_type::number)
            for (const double x :
                 {c.sample.number + 1, c.sample.number - 1, c.sample.number * 2, c.sample.number + 100, -100.0, 100.0})
                add(rank_of(cel::make_number(x)));
        if (type == field_type::timestamp)
            for (const std::int64_t step : {3'600, 86'400, 2 * 86'400, 30 * 86'400})
                for (const std::int64_t sign : {-1, 1}) add(sample + static_cast<std::uint64_t>(sign * step * 1'000'000));
    }
    void texts(std::uint32_t f, const cell_set& c, bool many, std::vector<holding>& out) {
        const domain& d = domains_[f];
        if (c.sample.is(cel::kind::text)) out.emplace_back(c.sample);
        if (!many) return;
        const auto add = [&](const std::string& text) {
            if (out.size() < 24 && contains_text(d, c, text)) out.emplace_back(cel::make_text(texts_.keep(text)));
        };
        const std::string start(c.start);
        std::string inside, end;
        for (const asked& a : asked_)
            if (a.unknown != open && a.fields.size() == 1 && a.fields[0] == f && standing_[a.unknown] == standing{holds}) {
                if (a.what->seeking == 'c') inside += a.what->sought;
                if (a.what->seeking == 'e') end = a.what->sought;
                if (a.what->seeking == 'm' && !a.what->words.empty()) inside += " " + a.what->words.front() + " ";
            }
        if (!inside.empty() || !end.empty()) {
            add(start + inside + end);
            add(inside + end);
        }
        for (const std::string& word : words_) {
            add(start + word);
            add(word);
        }
        for (std::uint32_t o = 0; o < domains_.size(); ++o)
            if (o != f && cell_[o] != open && domains_[o].cells[cell_[o]].sample.is(cel::kind::text))
                add(std::string(domains_[o].cells[cell_[o]].sample.view()));
        add("");
        add(start + "X9 ");
    }
    /// Lists: the members that tests ask for, then with one text more, then with all of them.
    void lists(std::uint32_t f, std::vector<holding>& out) {
        const domain& d = domains_[f];
        const std::vector<std::string>& allowed = d_.schema_.at(path_of(d.field)).values;
        std::vector<std::string> members, more;
        for (const asked& a : asked_) {
            if (a.unknown == open || a.fields.size() != 1 || a.fields[0] != f || a.what->seeking != 'i') continue;
            if (standing_[a.unknown] == standing{holds}) members.push_back(a.what->sought);
        }
        const auto usable = [&](std::string_view text) {
            return allowed.empty() || std::find(allowed.begin(), allowed.end(), text) != allowed.end();
        };
        for (std::uint32_t o = 0; o < domains_.size(); ++o)
            if (o != f && domains_[o].type == field_type::text) {
                const cell_set& theirs = domains_[o].cells[cell_[o] == open ? 0 : cell_[o]];
                if (theirs.sample.is(cel::kind::text)) more.emplace_back(theirs.sample.view());
            }
        for (const std::string& word : words_) more.push_back(word);
        if (!allowed.empty()) more.push_back(allowed.front());
        more.emplace_back("other");
        const auto add = [&](const std::vector<std::string>& items) {
            if (!std::all_of(items.begin(), items.end(), usable)) return;
            std::vector<cel::value>& kept = lists_.emplace_back();
            for (const std::string& item : items) kept.push_back(cel::make_text(texts_.keep(item)));
            out.emplace_back(cel::make_list(kept));
        };
        add(members);
        for (std::size_t i = 0; i < more.size() && i < 12; ++i) {
            std::vector<std::string> items = members;
            items.push_back(more[i]);
            add(items);
        }
        std::vector<std::string> items = members;
        for (const std::string& text : more)
            if (usable(text)) items.push_back(text);
        add(items);
    }

    decider& d_;
    std::span<const demand> demands_;
    const std::function<bool(const frame&)>& also_;
    std::uint64_t left_ = 0;
    bool impossible_ = false;
    text_pool texts_;
    std::deque<std::vector<cel::value>> lists_;
    std::vector<asked> asked_;
    std::vector<std::vector<std::uint32_t>> tests_of_;  // per demand
    std::vector<domain> domains_;
    std::vector<unknown> unknowns_;
    std::vector<std::string> words_;
    std::vector<std::uint32_t> cell_;  // per domain
    std::vector<standing> standing_;   // per unknown
    std::vector<choice_point> path_;
    std::vector<outcomes> now_, local_, parts_;
    std::vector<holding> values_;
};

}  // namespace opspilot::detail::analysis
