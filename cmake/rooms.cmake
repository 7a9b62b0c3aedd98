# The rooms of the library and what each knows of. An object library per room: a room that reached for one it must not know
# would not link in its own tests, and scripts/check_arrows.py names the include.
set(opspilot_rooms base data features policy calibrate evaluate rank audit learn decide)
set(opspilot_knows_base "")
set(opspilot_knows_data base)
set(opspilot_knows_features base data)
set(opspilot_knows_policy base data)
set(opspilot_knows_calibrate base)
set(opspilot_knows_evaluate base calibrate)
set(opspilot_knows_rank base data features)
set(opspilot_knows_audit base data)
set(opspilot_knows_learn base data features rank)
set(opspilot_knows_decide base data features policy calibrate rank audit)

add_library(opspilot_options INTERFACE)
target_include_directories(opspilot_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_compile_features(opspilot_options INTERFACE cxx_std_20)
# Bit-equal results on every kernel and machine: the compiler may not fuse a multiply and an add on its own.
target_compile_options(opspilot_options INTERFACE -ffp-contract=off)

add_library(opspilot_strict INTERFACE)
target_compile_options(opspilot_strict INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual $<$<BOOL:${OPSPILOT_WERROR}>:-Werror>)
if(OPSPILOT_SANITIZE)
  target_compile_options(opspilot_strict INTERFACE -fsanitize=${OPSPILOT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(opspilot_strict INTERFACE -fsanitize=${OPSPILOT_SANITIZE})
endif()
if(OPSPILOT_COVERAGE)
  target_compile_options(opspilot_strict INTERFACE --coverage)
  target_link_options(opspilot_strict INTERFACE --coverage)
endif()

set(opspilot_objects "")
foreach(room IN LISTS opspilot_rooms)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*.cpp)
  if(NOT sources)
    continue()
  endif()
  add_library(opspilot_${room} OBJECT ${sources})
  target_link_libraries(opspilot_${room} PUBLIC opspilot_options PRIVATE opspilot_dependencies $<BUILD_INTERFACE:opspilot_strict>)
  set_target_properties(opspilot_${room} PROPERTIES UNITY_BUILD ${OPSPILOT_UNITY} UNITY_BUILD_BATCH_SIZE 12)
  list(APPEND opspilot_objects $<TARGET_OBJECTS:opspilot_${room}>)
endforeach()

# Nobody reads the processor's flags of floating-point exceptions. g++ keeps them unless told not to (clang does not), at the price
# of a branch for every select in a loop over a column. No value changes.
target_compile_options(opspilot_features PRIVATE -fno-trapping-math)

# Kernels: the same source once per instruction set, chosen at run time. Only these files may use the wider sets. What a source is
# compiled with counts in the folder that says so alone, hence a function.
function(opspilot_kernel_options)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    file(GLOB avx2_sources ${PROJECT_SOURCE_DIR}/src/*/*_avx2.cpp)
    file(GLOB avx512_sources ${PROJECT_SOURCE_DIR}/src/*/*_avx512.cpp)
    file(GLOB sse4_sources ${PROJECT_SOURCE_DIR}/src/*/*_sse4.cpp)
    set_source_files_properties(${sse4_sources} PROPERTIES COMPILE_OPTIONS "-msse4.2")
    set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "-mavx2")
    set_source_files_properties(${avx512_sources} PROPERTIES COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl")
  endif()
endfunction()
opspilot_kernel_options()

add_library(opspilot ${opspilot_objects})
add_library(opspilot::opspilot ALIAS opspilot)
target_link_libraries(opspilot PUBLIC opspilot_options PRIVATE opspilot_dependencies $<BUILD_INTERFACE:opspilot_strict>)
set_target_properties(opspilot PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

add_library(opspilot_header_only INTERFACE)
add_library(opspilot::header_only ALIAS opspilot_header_only)
target_compile_definitions(opspilot_header_only INTERFACE OPSPILOT_HEADER_ONLY)
target_link_libraries(opspilot_header_only INTERFACE opspilot_options opspilot_dependencies)
