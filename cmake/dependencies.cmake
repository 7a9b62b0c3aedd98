# Everything outside the decision itself comes from well-kept libraries. Installed packages first; OPSPILOT_FETCH=ON downloads
# pinned releases of those that build with CMake, for machines without them. Nothing here appears in a public header.
find_package(PkgConfig QUIET)
include(FetchContent)

set(opspilot_source_fmt https://github.com/fmtlib/fmt.git 9.1.0)
set(opspilot_source_nlohmann_json https://github.com/nlohmann/json.git v3.11.2)
set(opspilot_source_simdjson https://github.com/simdjson/simdjson.git v3.0.1)
set(opspilot_source_xsimd https://github.com/xtensor-stack/xsimd.git 8.1.0)
set(opspilot_source_Eigen3 https://gitlab.com/libeigen/eigen.git 3.4.0)

# Downloads and adds one of the packages above, or says how to get it.
macro(opspilot_fetch name)
  if(NOT OPSPILOT_FETCH OR NOT DEFINED opspilot_source_${name})
    message(FATAL_ERROR "${name} is not installed. Install it (scripts/apt-packages.txt names Debian's packages), or, for fmt, "
      "nlohmann_json, simdjson, xsimd and Eigen3, configure with -DOPSPILOT_FETCH=ON.")
  endif()
  list(GET opspilot_source_${name} 0 opspilot_url)
  list(GET opspilot_source_${name} 1 opspilot_tag)
  FetchContent_Declare(${name} GIT_REPOSITORY ${opspilot_url} GIT_TAG ${opspilot_tag} GIT_SHALLOW ON)
  FetchContent_MakeAvailable(${name})
endmacro()

find_package(fmt QUIET CONFIG)
find_package(nlohmann_json QUIET CONFIG)
find_package(simdjson QUIET CONFIG)
find_package(xsimd QUIET CONFIG)
find_package(Eigen3 QUIET CONFIG)
find_package(Boost QUIET)
foreach(package fmt nlohmann_json simdjson xsimd Eigen3 Boost)
  if(NOT ${package}_FOUND)
    opspilot_fetch(${package})
  endif()
endforeach()

# Packages that ship pkg-config files only.
foreach(module libxxhash libsodium re2 libutf8proc)
  if(NOT PkgConfig_FOUND)
    message(FATAL_ERROR "pkg-config is needed to find ${module}")
  endif()
  pkg_check_modules(${module} REQUIRED IMPORTED_TARGET ${module})
endforeach()

# Header-only use of xsimd: Debian's exported target also asks for xtl, which only its complex numbers need.
get_target_property(xsimd_include xsimd INTERFACE_INCLUDE_DIRECTORIES)

add_library(opspilot_dependencies INTERFACE)
target_include_directories(opspilot_dependencies SYSTEM INTERFACE $<BUILD_INTERFACE:${xsimd_include}>)
target_link_libraries(opspilot_dependencies INTERFACE fmt::fmt nlohmann_json::nlohmann_json simdjson::simdjson Eigen3::Eigen
  Boost::headers PkgConfig::libxxhash PkgConfig::libsodium PkgConfig::re2 PkgConfig::libutf8proc)
