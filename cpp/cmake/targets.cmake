# The targets of the engine, from its sources: in the tree, and in the wheel, which carries the same folders side by side.
# pylstm::core, pylstm::io where nlohmann-json is found, and the functions that add what is compiled.
include(${CMAKE_CURRENT_LIST_DIR}/isa.cmake)
get_filename_component(PYLSTM_SOURCES ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.9 QUIET)

add_library(pylstm_core INTERFACE)
add_library(pylstm::core ALIAS pylstm_core)
set_target_properties(pylstm_core PROPERTIES EXPORT_NAME core)
target_compile_features(pylstm_core INTERFACE cxx_std_20)
target_include_directories(
  pylstm_core INTERFACE $<BUILD_INTERFACE:${PYLSTM_SOURCES}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
)
# GCC contracts a * b + c across statements by default: equal bits on every ISA need every fma to be a written one.
target_compile_options(pylstm_core INTERFACE ${PYLSTM_FP_CONTRACT_OFF})
target_link_libraries(pylstm_core INTERFACE Threads::Threads)

if(nlohmann_json_FOUND)
  add_library(pylstm_io INTERFACE)
  add_library(pylstm::io ALIAS pylstm_io)
  target_link_libraries(pylstm_io INTERFACE pylstm_core nlohmann_json::nlohmann_json)
endif()

# pylstm::dispatch: the kernels of PYLSTM_ISAS, the best chosen at run time, and the templates that every program uses.
function(pylstm_add_dispatch)
  add_library(pylstm_dispatch STATIC ${ARGN} ${PYLSTM_SOURCES}/src/cpu.cpp ${PYLSTM_SOURCES}/src/templates.cpp)
  add_library(pylstm::dispatch ALIAS pylstm_dispatch)
  set_target_properties(
    pylstm_dispatch
    PROPERTIES EXPORT_NAME dispatch
               POSITION_INDEPENDENT_CODE ON
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON
               INTERPROCEDURAL_OPTIMIZATION OFF # would inline one ISA's code into another's
  )
  # Plans and walks; loops of pooling gain from the vectors of -O3.
  set_source_files_properties(
    ${PYLSTM_SOURCES}/src/templates.cpp
    PROPERTIES COMPILE_OPTIONS
               "${PYLSTM_SMALL_RELEASE};$<$<AND:$<NOT:$<CONFIG:Debug>>,$<CXX_COMPILER_ID:GNU>>:-fvect-cost-model=dynamic>"
  )
  target_link_libraries(pylstm_dispatch PUBLIC pylstm_core)
  target_compile_definitions(pylstm_dispatch PUBLIC PYLSTM_DISPATCH=1)
  foreach(isa IN LISTS PYLSTM_ISAS)
    pylstm_isa_options(${isa} options)
    target_sources(pylstm_dispatch PRIVATE ${PYLSTM_SOURCES}/src/isa_${isa}.cpp)
    set_source_files_properties(${PYLSTM_SOURCES}/src/isa_${isa}.cpp PROPERTIES COMPILE_OPTIONS "${options}")
    target_compile_definitions(pylstm_dispatch PRIVATE PYLSTM_HAS_${isa})
  endforeach()
endfunction()

# pylstm::c and pylstm::c_static: pylstm.h, for C and for whatever calls C.
function(pylstm_add_c)
  add_library(pylstm_c_static STATIC ${ARGN} ${PYLSTM_SOURCES}/src/c.cpp)
  add_library(pylstm_c SHARED ${ARGN} ${PYLSTM_SOURCES}/src/c.cpp)
  set_target_properties(pylstm_c_static PROPERTIES EXPORT_NAME c_static POSITION_INDEPENDENT_CODE ON)
  set_target_properties(pylstm_c PROPERTIES EXPORT_NAME c OUTPUT_NAME pylstm DEFINE_SYMBOL PYLSTM_C_BUILD)
  foreach(library pylstm_c_static pylstm_c)
    set_target_properties(${library} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    target_link_libraries(${library} PRIVATE pylstm_dispatch $<BUILD_INTERFACE:pylstm_io>)
    target_include_directories(
      ${library} INTERFACE $<BUILD_INTERFACE:${PYLSTM_SOURCES}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    )
  endforeach()
  add_library(pylstm::c ALIAS pylstm_c)
  add_library(pylstm::c_static ALIAS pylstm_c_static)
  target_compile_definitions(pylstm_c_static PUBLIC PYLSTM_C_STATIC)
endfunction()
