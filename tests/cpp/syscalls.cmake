# Fails if more steps of the real-time example make more system calls (strace).  -DSTRACE -DPROGRAM -DSTEPS
foreach(steps 1 ${STEPS})
  execute_process(
    COMMAND ${STRACE} -f -qq -o ${PROGRAM}.strace ${PROGRAM} ${steps} 16
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE error
  )
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${PROGRAM}: ${status} ${error}")
  endif()
  file(STRINGS ${PROGRAM}.strace calls)
  list(FILTER calls EXCLUDE REGEX " write\\(1,| exited with | exit_group") # the histogram's lines
  list(LENGTH calls count_${steps})
  message(STATUS "${steps} steps: ${count_${steps}} system calls")
endforeach()
if(NOT count_1 EQUAL count_${STEPS})
  message(FATAL_ERROR "steps make system calls")
endif()
