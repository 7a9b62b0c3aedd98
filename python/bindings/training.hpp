// Training data as the library's own tables, filled from Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

#include "opspilot/data/row_json.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/learn/parallel.hpp"

namespace opspilot::python {

/// Tasks with their candidates, choices and folds: everything `fit_features` wants, in one place.
class training_data {
public:
    training_data(const std::string& schema_json, const std::string& catalogue_json);
    training_data(const training_data&) = delete;
    training_data& operator=(const training_data&) = delete;

    /// Appends tasks (a sequence of mappings, or an Arrow table) decided at `now`: one time for all, or one per task.
    void add_tasks(const pybind11::object& rows, const pybind11::object& now);
    /// Generates the candidates of all tasks by a candidates.json document.
    void generate(const std::string& document);
    /// Takes the host's candidates: rows with `task_index`, "id" and candidate fields, ascending by task.
    void set_candidates(const pybind11::object& rows);
    /// Which candidate was chosen, by action id; None: none of them. Returns the positions, -1 = none.
    pybind11::array_t<std::int32_t> set_chosen(const pybind11::list& ids);
    void set_folds(const pybind11::array_t<std::uint32_t, pybind11::array::c_style | pybind11::array::forcecast>& folds);

    [[nodiscard]] training_set view() const;
    [[nodiscard]] std::size_t tasks() const noexcept { return tasks_.rows(); }
    [[nodiscard]] frame frame_of(std::size_t task) const;
    [[nodiscard]] pybind11::array_t<std::int64_t> offsets() const;
    [[nodiscard]] pybind11::array_t<std::uint32_t> rows() const;
    [[nodiscard]] pybind11::list action_ids() const;
    [[nodiscard]] const schema& declared() const noexcept { return schema_; }
    /// The codes that the tables' texts have.
    [[nodiscard]] dictionary& strings() noexcept { return strings_; }

private:
    schema schema_;
    dictionary strings_;
    interner interner_;
    table catalogue_;
    table tasks_;
    table pairs_;
    std::vector<std::uint32_t> offsets_{0};
    std::vector<std::uint32_t> rows_;
    std::vector<std::int32_t> chosen_;
    std::vector<std::uint32_t> folds_;
    std::vector<std::int64_t> now_;
};

/// `body(0) … body(count - 1)` on so many threads of the host.
parallel_for host_threads(std::size_t threads);

}  // namespace opspilot::python
